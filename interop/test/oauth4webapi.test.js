import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as oauth from 'oauth4webapi'
import { House, redirects } from './dance.js'
import { houses, inHouse } from './given.js'

for (const name of ['plain', 'secure']) describe(`oauth4webapi, ${name === 'secure' ? 'over HTTPS' : 'on loopback'}`, inHouse, () => {
	const house = houses[name] && new House(name)
	const plainly = name === 'plain' ? { [oauth.allowInsecureRequests]: true } : {}
	const issuer = new URL(house?.issuer ?? 'http://localhost')

	const discover = async () => oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, plainly))

	async function proofOf(id) {
		const { secret, jwk } = house.clients[id] ?? {}
		if (jwk) return oauth.PrivateKeyJwt(await house.key(id))
		return !secret ? oauth.None() : id === 'web-post' ? oauth.ClientSecretPost(secret) : oauth.ClientSecretBasic(secret)
	}

	for (const id of Object.keys(redirects)) test(`${id}: every answer passes the library's checks, signatures included`, async () => {
		const server = await discover()
		const client = { client_id: id }
		const [verifier, state, nonce] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState(), oauth.generateRandomNonce()]
		const url = new URL(server.authorization_endpoint)
		url.search = new URLSearchParams({
			client_id: id, redirect_uri: redirects[id], response_type: 'code', scope: 'openid profile offline_access accounts.read', state, nonce,
			code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', max_age: '600',
		})
		const { redirect } = await house.person('basil').visit(url)
		const parameters = oauth.validateAuthResponse(server, client, redirect, state)
		const answer = await oauth.authorizationCodeGrantRequest(server, client, await proofOf(id), parameters, redirects[id], verifier, plainly)
		assert.equal(answer.headers.get('cache-control'), 'no-store')
		const tokens = await oauth.processAuthorizationCodeResponse(server, client, answer, { expectedNonce: nonce, maxAge: 600, requireIdToken: true })
		await oauth.validateApplicationLevelSignature(server, answer, plainly)
		const claims = oauth.getValidatedIdTokenClaims(tokens)

		for (const method of ['GET', 'POST']) {
			const about = method === 'GET' ? await oauth.userInfoRequest(server, client, tokens.access_token, plainly)
				: await fetch(server.userinfo_endpoint, { method, headers: { authorization: `Bearer ${tokens.access_token}` } })
			const person = await oauth.processUserInfoResponse(server, client, claims.sub, about)
			assert.equal(person.preferred_username, 'basil', method)
		}

		const api = await oauth.protectedResourceRequest(tokens.access_token, 'GET', new URL(`${house.accounts}/balance`), undefined, undefined, plainly)
		assert.equal(api.status, 200)

		const refreshed = await oauth.refreshTokenGrantRequest(server, client, await proofOf(id), tokens.refresh_token, plainly)
		const again = await oauth.processRefreshTokenResponse(server, client, refreshed)
		assert.equal(oauth.getValidatedIdTokenClaims(again).sub, claims.sub)

		const revoked = await oauth.revocationRequest(server, client, await proofOf(id), again.access_token, plainly)
		await oauth.processRevocationResponse(revoked)
	})

	for (const id of ['nightly', 'hourly']) test(`${id} gets a token for itself, and the API that it is for may ask about it`, async () => {
		const server = await discover()
		const client = { client_id: id }
		const answer = await oauth.clientCredentialsGrantRequest(server, client, await proofOf(id), { resource: house.ledger }, plainly)
		const tokens = await oauth.processClientCredentialsResponse(server, client, answer)
		const api = { client_id: 'ledger-api' }
		const asked = await oauth.introspectionRequest(server, api, await proofOf('ledger-api'), tokens.access_token, plainly)
		const told = await oauth.processIntrospectionResponse(server, api, asked)
		assert.equal(told.active, true)
		assert.equal(told.client_id, id)
		assert.equal(told.sub, id)
		assert.equal(told.aud, house.ledger)
	})

	test('the Gate tells where its tokens come from', async () => {
		const resource = new URL(house.accounts)
		const bare = await fetch(`${house.accounts}/balance`)
		assert.equal(bare.status, 401)
		assert.match(bare.headers.get('www-authenticate'), /^Bearer .*resource_metadata="([^"]+)"/)
		const about = await oauth.processResourceDiscoveryResponse(resource, await oauth.resourceDiscoveryRequest(resource, plainly))
		assert.deepEqual(about.authorization_servers, [house.issuer])
		const [, metadata] = /resource_metadata="([^"]+)"/.exec(bare.headers.get('www-authenticate'))
		assert.deepEqual(await (await fetch(metadata)).json(), about)
	})

	test('the library reads what the Gate refuses', async () => {
		const tokens = await house.signIn('web-basic', house.person('basil'), { scope: 'openid' })
		const call = oauth.protectedResourceRequest(tokens.access_token, 'GET', new URL(`${house.accounts}/balance`), undefined, undefined, plainly)
		await assert.rejects(call, (err) => {
			assert.equal(err.code, oauth.WWW_AUTHENTICATE_CHALLENGE)
			assert.equal(err.cause[0].scheme, 'bearer')
			assert.equal(err.cause[0].parameters.error, 'invalid_token')
			return true
		})
		const narrow = await house.signIn('web-basic', house.person('basil'), { scope: 'openid ledger.read' })
		const other = oauth.protectedResourceRequest(narrow.access_token, 'GET', new URL(`${house.accounts}/balance`), undefined, undefined, plainly)
		await assert.rejects(other, (err) => err.cause[0].parameters.error === 'invalid_token')
	})
})
