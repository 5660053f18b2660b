import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import * as jose from 'jose'
import { validateJwtAccessToken, allowInsecureRequests } from 'oauth4webapi'
import { House } from './dance.js'
import { houses, inHouse } from './given.js'

describe('an API in JavaScript', inHouse, () => {
	const house = houses.plain && new House('plain')
	let tokens, keys
	before(async () => {
		tokens = await house.signIn('web-basic', house.person('amelie'))
		keys = jose.createRemoteJWKSet(new URL(`${house.issuer}/jwks`))
	})
	const mine = () => ({ issuer: house.issuer, audience: house.accounts, typ: 'at+jwt', algorithms: ['ES256'], requiredClaims: ['client_id', 'jti', 'iat', 'exp', 'sub'] })

	test('verifies an access token by the published keys', async () => {
		const { payload, protectedHeader } = await jose.jwtVerify(tokens.access_token, keys, mine())
		assert.equal(payload.aud, house.accounts, 'one audience, as a string')
		assert.equal(payload.client_id, 'web-basic')
		assert.equal(payload.scope, 'openid accounts.read')
		assert.equal(payload.sub, tokens.claims().sub)
		assert.equal(payload.sid, tokens.claims().sid)
		assert.equal(payload.auth_time, tokens.claims().auth_time)
		assert.ok(payload.exp - payload.iat <= 600)
		assert.deepEqual(Object.keys(protectedHeader).sort(), ['alg', 'kid', 'typ'])
		for (const personal of ['name', 'email', 'preferred_username']) assert.equal(payload[personal], undefined)
	})

	test('is told when a token is for another API, or none at all', async () => {
		await assert.rejects(jose.jwtVerify(tokens.access_token, keys, { ...mine(), audience: house.ledger }), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED', claim: 'aud' })
		await assert.rejects(jose.jwtVerify(tokens.id_token, keys, mine()), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED', claim: 'typ' })
		const [head, body, signature] = tokens.access_token.split('.')
		const other = JSON.parse(Buffer.from(body, 'base64url'))
		const forged = [head, Buffer.from(JSON.stringify({ ...other, scope: 'everything' })).toString('base64url'), signature].join('.')
		await assert.rejects(jose.jwtVerify(forged, keys, mine()), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' })
	})

	test('verifies by oauth4webapi too', async () => {
		const request = new Request(`${house.accounts}/balance`, { headers: { authorization: `Bearer ${tokens.access_token}` } })
		const server = { issuer: house.issuer, jwks_uri: `${house.issuer}/jwks` }
		const claims = await validateJwtAccessToken(server, request, house.accounts, { signingAlgorithms: ['ES256'], [allowInsecureRequests]: true })
		assert.equal(claims.sub, tokens.claims().sub)
	})

	test('and the Gate takes it, but never an ID token', async () => {
		const ask = (token, path = '/balance') => fetch(house.accounts + path, { headers: { authorization: `Bearer ${token}` } })
		assert.equal((await ask(tokens.access_token)).status, 200)
		assert.equal((await ask(tokens.id_token)).status, 401)
		assert.equal((await ask(tokens.access_token, '/statement')).status, 403, 'an operation for programs')
		assert.equal((await ask(tokens.access_token, '/other')).status, 404)
		assert.equal((await fetch(`${house.accounts}/rates`)).status, 200)
	})
})
