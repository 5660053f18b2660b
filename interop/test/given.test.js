import assert from 'node:assert/strict'
import test from 'node:test'
import * as openid from 'openid-client'
import { client, issuer, person, unless } from './given.js'
import { Person } from './person.js'

const names = ['GARDE_ISSUER', 'GARDE_CLIENT_ID', 'GARDE_CLIENT_SECRET', 'GARDE_REDIRECT_URI', 'GARDE_USER', 'GARDE_PASSWORD']

test('the client that was given signs in the person that was given', unless(names), async () => {
	const config = await openid.discovery(new URL(issuer), client.id, undefined, openid.ClientSecretBasic(client.secret), {
		execute: issuer.startsWith('http:') ? [openid.allowInsecureRequests] : [],
	})
	const [verifier, state] = [openid.randomPKCECodeVerifier(), openid.randomState()]
	const url = openid.buildAuthorizationUrl(config, {
		redirect_uri: client.redirect, scope: 'openid', state,
		code_challenge: await openid.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
	})
	const { redirect, page } = await new Person(issuer, person.name, person.password).visit(url)
	assert.ok(redirect, page?.code)
	const tokens = await openid.authorizationCodeGrant(config, redirect, { pkceCodeVerifier: verifier, expectedState: state })
	assert.equal(tokens.claims().aud, client.id)
	await openid.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)
})
