import assert from 'node:assert/strict'
import test from 'node:test'
import * as jose from 'jose'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { issuer, unless } from './given.js'

const plainly = { [oauth.allowInsecureRequests]: true } // the issuer under test is http on loopback

for (const algorithm of ['oidc', 'oauth2']) {
	test(`oauth4webapi reads the ${algorithm} metadata`, unless(['GARDE_ISSUER']), async () => {
		const answer = await oauth.discoveryRequest(new URL(issuer), { algorithm, ...plainly })
		const server = await oauth.processDiscoveryResponse(new URL(issuer), answer)
		assert.deepEqual(server.response_types_supported, ['code'])
		assert.deepEqual(server.code_challenge_methods_supported, ['S256'])
		assert.equal(server.authorization_response_iss_parameter_supported, true)
	})
}

test('openid-client discovers the server', unless(['GARDE_ISSUER']), async () => {
	const found = await openid.discovery(new URL(issuer), 'anyone', undefined, openid.None(), { execute: [openid.allowInsecureRequests] })
	assert.equal(found.serverMetadata().issuer, issuer)
})

test('jose finds public keys only, each with a name of its own', unless(['GARDE_ISSUER']), async () => {
	const metadata = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()
	const { keys } = await (await fetch(metadata.jwks_uri)).json()
	assert.ok(keys.length > 0)
	assert.equal(new Set(keys.map((key) => key.kid)).size, keys.length)
	for (const key of keys) {
		assert.equal((await jose.importJWK(key, key.alg)).type, 'public')
		for (const secret of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k']) assert.equal(key[secret], undefined, secret)
	}
})
