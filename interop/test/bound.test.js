import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { House } from './dance.js'
import { houses, inHouse } from './given.js'
import { machine } from './machine.js'

const details = [{ type: 'statement', account: 'FR-1' }]

describe('tokens that are bound to a key', inHouse, () => {
	const house = houses.secure && new House('secure')
	const statement = new URL(`${house?.gate ?? 'https://localhost'}/vault/statement`)

	test('openid-client as a FAPI 2.0 client: PAR, JAR, JARM, RAR, private_key_jwt and DPoP with nonces, end to end', async () => {
		const config = await house.discover('fapi')
		openid.useJwtResponseMode(config)
		openid.enableNonRepudiationChecks(config)
		const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair('ES256'))
		const [verifier, state, nonce] = [openid.randomPKCECodeVerifier(), openid.randomState(), openid.randomNonce()]
		const parameters = {
			redirect_uri: house.redirect('fapi'), scope: 'openid offline_access vault.read', state, nonce, prompt: 'consent',
			code_challenge: await openid.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', authorization_details: JSON.stringify(details),
		}
		const signed = await openid.buildAuthorizationUrlWithJAR(config, parameters, await house.key('fapi'))
		const pushed = await openid.buildAuthorizationUrlWithPAR(config, signed.searchParams, { DPoP })
		assert.deepEqual([...pushed.searchParams.keys()].sort(), ['client_id', 'request_uri'])
		const { redirect, page } = await house.person('basil').visit(pushed)
		assert.ok(redirect, `the browser stands at ${page?.url.pathname}: ${page?.status} ${page?.code}`)
		assert.deepEqual([...redirect.searchParams.keys()], ['response'], 'JARM is one parameter')
		const tokens = await openid.authorizationCodeGrant(config, redirect, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce }, undefined, { DPoP })
		assert.equal(tokens.token_type, 'dpop')
		assert.deepEqual(tokens.authorization_details, details)
		const api = await openid.fetchProtectedResource(config, tokens.access_token, statement, 'GET', undefined, undefined, { DPoP })
		assert.equal(api.status, 200)
		const again = await openid.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })
		assert.equal(again.token_type, 'dpop')

		const bare = await fetch(statement, { headers: { authorization: `Bearer ${tokens.access_token}` } })
		assert.equal(bare.status, 401, 'a bound token is no Bearer token')
		const thief = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair('ES256'))
		await assert.rejects(openid.fetchProtectedResource(config, tokens.access_token, statement, 'GET', undefined, undefined, { DPoP: thief }),
			(err) => err.cause?.[0]?.parameters?.error === 'invalid_token' || err.status === 401)
	})

	test('a plain request of that client is refused at every step', async () => {
		const config = await house.discover('fapi')
		const verifier = openid.randomPKCECodeVerifier()
		const parameters = {
			redirect_uri: house.redirect('fapi'), scope: 'openid', code_challenge: await openid.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
		}
		await assert.rejects(openid.buildAuthorizationUrlWithPAR(config, parameters), (err) => err.status === 400 && /^invalid_request/.test(err.error))
		const asked = await house.person('basil').visit(openid.buildAuthorizationUrl(config, parameters))
		assert.ok(asked.page?.code ?? asked.redirect?.searchParams.get('error'))
		assert.equal(asked.redirect?.searchParams.get('code') ?? undefined, undefined)
	})

	test('oauth4webapi learns the nonce that is asked of proofs, and no proof is good twice', async () => {
		const issuer = new URL(house.issuer)
		const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer))
		const client = { client_id: 'page' }
		const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
		const [verifier, state] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState()]
		const url = new URL(server.authorization_endpoint)
		url.search = new URLSearchParams({
			client_id: 'page', redirect_uri: house.redirect('page'), response_type: 'code', scope: 'openid accounts.read', state, nonce: 'n-0',
			code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', dpop_jkt: await DPoP.calculateThumbprint(),
		})
		const { redirect } = await house.person('basil').visit(url)
		const answer = oauth.validateAuthResponse(server, client, redirect, state)
		const sent = []
		const remembering = (url, init) => { sent.push(new Headers(init.headers).get('dpop')); return fetch(url, init) }
		const redeem = () => oauth.authorizationCodeGrantRequest(server, client, oauth.None(), answer, house.redirect('page'), verifier, { DPoP, [oauth.customFetch]: remembering })
		await assert.rejects(redeem().then((response) => oauth.processAuthorizationCodeResponse(server, client, response, { expectedNonce: 'n-0' })), oauth.isDPoPNonceError)
		const tokens = await oauth.processAuthorizationCodeResponse(server, client, await redeem(), { expectedNonce: 'n-0' })
		assert.equal(tokens.token_type, 'dpop')
		assert.equal(sent.length, 2)
		const about = await oauth.userInfoRequest(server, client, tokens.access_token, { DPoP, [oauth.customFetch]: remembering })
		assert.equal(about.status, 200)
		const replayed = await fetch(server.userinfo_endpoint, { headers: { authorization: `DPoP ${tokens.access_token}`, dpop: sent.at(-1) } })
		assert.equal(replayed.status, 401)
		assert.match(replayed.headers.get('www-authenticate'), /^DPoP .*invalid_dpop_proof/)
	})

	for (const [id, method] of [['machine', 'tls_client_auth'], ['self', 'self_signed_tls_client_auth']]) {
		test(`${method}: a token that is bound to the certificate, by client_credentials`, async () => {
			const config = await openid.discovery(new URL(house.issuer), id, { use_mtls_endpoint_aliases: true }, openid.TlsClientAuth())
			assert.notEqual(new URL(config.serverMetadata().mtls_endpoint_aliases.token_endpoint).origin, house.issuer)
			config[openid.customFetch] = machine(house.folder, id)
			const tokens = await openid.clientCredentialsGrant(config, { scope: 'vault.read' })
			const claims = JSON.parse(Buffer.from(tokens.access_token.split('.')[1], 'base64url'))
			assert.equal(typeof claims.cnf?.['x5t#S256'], 'string')
			const call = (fetch) => fetch(statement, { headers: { authorization: `Bearer ${tokens.access_token}` } })
			assert.equal((await call(machine(house.folder, id))).status, 200)
			assert.equal((await call(machine(house.folder, id === 'self' ? 'machine' : 'self'))).status, 401, 'another certificate')
			assert.equal((await call(machine(house.folder))).status, 401, 'no certificate')

			config[openid.customFetch] = machine(house.folder, id === 'self' ? 'machine' : 'self')
			await assert.rejects(openid.clientCredentialsGrant(config, { scope: 'vault.read' }), (err) => err.status === 401 && err.error === 'invalid_client')
			config[openid.customFetch] = machine(house.folder)
			await assert.rejects(openid.clientCredentialsGrant(config, { scope: 'vault.read' }), (err) => err.status === 401 && err.error === 'invalid_client')
		})
	}

	test('a person signs in through a client with a certificate', async () => {
		const config = await openid.discovery(new URL(house.issuer), 'machine', { use_mtls_endpoint_aliases: true, id_token_signed_response_alg: 'ES256' }, openid.TlsClientAuth())
		config[openid.customFetch] = machine(house.folder, 'machine')
		house.found.set('machine', config)
		const tokens = await house.signIn('machine', house.person('basil'), { scope: 'openid vault.read' })
		const { cnf } = JSON.parse(Buffer.from(tokens.access_token.split('.')[1], 'base64url'))
		assert.ok(cnf['x5t#S256'])
		assert.equal((await openid.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)).sub, tokens.claims().sub)
	})
})
