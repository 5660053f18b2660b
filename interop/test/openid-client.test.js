import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import * as openid from 'openid-client'
import { House, redirects, refusedAs } from './dance.js'
import { houses, inHouse } from './given.js'

for (const name of ['plain', 'secure']) describe(`openid-client, ${name === 'secure' ? 'over HTTPS' : 'on loopback'}`, inHouse, () => {
	const house = houses[name] && new House(name)

	for (const id of Object.keys(redirects)) {
		test(`${id} signs a person in, calls the API, asks for userinfo, refreshes and gives its tokens back`, async () => {
			const person = house.person('amelie')
			const tokens = await house.signIn(id, person, { scope: 'openid profile offline_access accounts.read' })
			const claims = tokens.claims()
			assert.equal(claims.iss, house.issuer)
			assert.equal(claims.aud, id)
			assert.equal(claims.acr, 'urn:garde:loa:basic')
			assert.deepEqual(claims.amr, ['pwd'])
			assert.ok(claims.sid)
			assert.equal(claims.preferred_username, undefined, 'scopes open userinfo, not the ID token')

			const config = await house.as(id)
			const about = await openid.fetchUserInfo(config, tokens.access_token, claims.sub)
			assert.equal(about.preferred_username, 'amelie')
			assert.equal(about.name, 'Amélie Durand')
			assert.equal(about.email, undefined, 'email was not asked for')

			const balance = await openid.fetchProtectedResource(config, tokens.access_token, new URL(`${house.accounts}/balance`), 'GET')
			assert.equal(balance.status, 200)

			const again = await openid.refreshTokenGrant(config, tokens.refresh_token)
			assert.equal(again.claims().sub, claims.sub)
			assert.equal(again.claims().auth_time, claims.auth_time)
			const rotates = !house.clients[id]
			if (rotates) assert.ok(again.refresh_token && again.refresh_token !== tokens.refresh_token)
			else assert.ok(again.refresh_token === undefined || again.refresh_token === tokens.refresh_token)
			await openid.fetchUserInfo(config, again.access_token, claims.sub)

			await openid.tokenRevocation(config, again.refresh_token ?? tokens.refresh_token, { token_type_hint: 'refresh_token' })
			await assert.rejects(openid.refreshTokenGrant(config, again.refresh_token ?? tokens.refresh_token), refusedAs('invalid_grant', 400))
			await assert.rejects(openid.fetchUserInfo(config, again.access_token, claims.sub), (err) => err.status === 401)
		})
	}
})

describe('openid-client', inHouse, () => {
	const house = houses.plain && new House('plain')

	const signer = (alg) => alg === 'ES256' ? 'web-key' : `web-${alg.toLowerCase()}`

	for (const mode of ['query', 'fragment', 'form_post']) {
		test(`the answer comes back by ${mode}`, async () => {
			const asked = await house.ask('web-basic', house.person('basil'), { response_mode: mode })
			if (mode === 'fragment') {
				assert.equal(asked.redirect.search, '')
				asked.redirect.search = asked.redirect.hash.slice(1) // what the page's script does
				asked.redirect.hash = ''
			}
			assert.equal(Boolean(asked.post), mode === 'form_post')
			if (asked.post) assert.equal(asked.post.action, redirects['web-basic'])
			assert.ok((await house.redeem(asked)).access_token)
		})
	}

	for (const alg of houses.plain ? ['ES256', ...houses.plain.algs] : []) {
		test(`an ID token is signed by ${alg} for a client that asks for it`, async () => {
			const tokens = await house.signIn(signer(alg), house.person('basil'))
			const header = JSON.parse(Buffer.from(tokens.id_token.split('.')[0], 'base64url'))
			assert.equal(header.alg, alg)
			// The library looks at at_hash in other flows only (OpenID Connect Core section 3.1.3.6; Ed25519 hashes by SHA-512).
			const half = createHash(alg === 'EdDSA' ? 'sha512' : `sha${alg.slice(2)}`).update(tokens.access_token).digest()
			assert.equal(tokens.claims().at_hash, half.subarray(0, half.length / 2).toString('base64url'))
		})
		test(`the signature by ${alg} is verified against the published keys`, async () => {
			const config = await house.discover(signer(alg))
			openid.enableNonRepudiationChecks(config)
			house.found.set(signer(alg), config)
			await house.signIn(signer(alg), house.person('basil'))
		})
	}

	test('a refresh token of a public client that comes back late ends its family', async () => {
		const tokens = await house.signIn('page', house.person('basil'), { scope: 'openid offline_access accounts.read' })
		const config = await house.as('page')
		const second = await openid.refreshTokenGrant(config, tokens.refresh_token)
		const third = await openid.refreshTokenGrant(config, second.refresh_token) // the successor was used: the first is stolen
		await assert.rejects(openid.refreshTokenGrant(config, tokens.refresh_token), refusedAs('invalid_grant', 400))
		await assert.rejects(openid.refreshTokenGrant(config, third.refresh_token), refusedAs('invalid_grant', 400))
	})

	test('a public client whose answer was lost shows the predecessor again and goes on', async () => {
		const tokens = await house.signIn('page', house.person('basil'), { scope: 'openid offline_access accounts.read' })
		const config = await house.as('page')
		await openid.refreshTokenGrant(config, tokens.refresh_token)
		const again = await openid.refreshTokenGrant(config, tokens.refresh_token)
		assert.ok((await openid.refreshTokenGrant(config, again.refresh_token)).access_token)
	})

	test('a confidential client uses its refresh token as often as it likes, and may ask for less', async () => {
		const tokens = await house.signIn('web-key', house.person('basil'), { scope: 'openid profile offline_access accounts.read' })
		const config = await house.as('web-key')
		for (const scope of ['openid accounts.read', undefined, 'openid accounts.read']) {
			const again = await openid.refreshTokenGrant(config, tokens.refresh_token, scope && { scope })
			assert.equal(again.scope.includes('profile'), !scope)
		}
		await assert.rejects(openid.refreshTokenGrant(config, tokens.refresh_token, { scope: 'openid email' }), refusedAs('invalid_scope', 400))
	})

	test('a service asks for itself, names the resource, and the Gate lets it in', async () => {
		for (const id of ['nightly', 'hourly']) {
			const config = await house.as(id)
			const tokens = await openid.clientCredentialsGrant(config, { scope: 'statements.read', resource: house.accounts })
			assert.equal(tokens.refresh_token, undefined)
			assert.equal(tokens.id_token, undefined)
			const answer = await openid.fetchProtectedResource(config, tokens.access_token, new URL(`${house.accounts}/statement`), 'GET')
			assert.equal(answer.status, 200)
			const { headers } = await answer.json()
			assert.equal(headers.authorization, undefined, 'the API gets no token')
			const opaque = await openid.clientCredentialsGrant(config, { resource: house.ledger })
			assert.equal(opaque.access_token.includes('.'), false)
			assert.equal((await openid.fetchProtectedResource(config, opaque.access_token, new URL(`${house.ledger}/entries`), 'GET')).status, 200)
			await assert.rejects(openid.clientCredentialsGrant(config), refusedAs('invalid_target', 400))
			await assert.rejects(openid.clientCredentialsGrant(config, { resource: 'https://elsewhere.example' }), refusedAs('invalid_target', 400))
		}
	})

	test('an API asks what a token of its own means, signed or opaque, and learns nothing of others', async () => {
		const person = house.person('basil')
		const signed = await house.signIn('web-basic', person)
		const opaque = await house.signIn('web-basic', person, { scope: 'openid ledger.read' })
		const [accounts, ledger] = [await house.as('accounts-api'), await house.as('ledger-api')]
		for (const [api, own, foreign] of [[accounts, signed, opaque], [ledger, opaque, signed]]) {
			const told = await openid.tokenIntrospection(api, own.access_token)
			assert.equal(told.active, true)
			assert.equal(told.sub, own.claims().sub)
			assert.equal(told.client_id, 'web-basic')
			assert.deepEqual(await openid.tokenIntrospection(api, foreign.access_token), { active: false })
		}
		await openid.tokenRevocation(await house.as('web-basic'), opaque.access_token)
		assert.deepEqual(await openid.tokenIntrospection(ledger, opaque.access_token), { active: false })
		await openid.tokenRevocation(await house.as('web-basic'), signed.access_token)
		assert.deepEqual(await openid.tokenIntrospection(accounts, signed.access_token), { active: false })
	})

	test('another client can revoke nothing, and is not told so', async () => {
		const tokens = await house.signIn('web-basic', house.person('basil'))
		await openid.tokenRevocation(await house.as('web-post'), tokens.access_token)
		await openid.fetchUserInfo(await house.as('web-basic'), tokens.access_token, tokens.claims().sub)
	})

	test('the Gate refuses a revoked token within a second', async () => {
		const tokens = await house.signIn('web-basic', house.person('basil'))
		const config = await house.as('web-basic')
		const call = () => openid.fetchProtectedResource(config, tokens.access_token, new URL(`${house.accounts}/balance`), 'GET').then((answer) => answer.status, (err) => err.status)
		assert.equal(await call(), 200)
		await openid.tokenRevocation(config, tokens.access_token)
		const told = Date.now()
		while (await call() !== 401) assert.ok(Date.now() - told < 1000, 'the token still lives after a second')
	})

	test('a token of two APIs is for the one that the client names', async () => {
		const asked = await house.ask('web-basic', house.person('basil'), { scope: 'openid accounts.read ledger.read' })
		const tokens = await house.redeem(asked, { parameters: { resource: house.ledger } })
		assert.equal(tokens.scope, 'openid ledger.read')
		const told = await openid.tokenIntrospection(await house.as('ledger-api'), tokens.access_token)
		assert.equal(told.aud, house.ledger)
	})

	test('the library finds out when an answer was tampered with', async () => {
		const asked = await house.ask('web-basic', house.person('basil'))
		const tampered = (name, value) => {
			const redirect = new URL(asked.redirect)
			value === undefined ? redirect.searchParams.delete(name) : redirect.searchParams.set(name, value)
			return { ...asked, redirect }
		}
		const because = (words) => (err) => assert.match(err.cause.message, words) ?? true
		await assert.rejects(house.redeem(tampered('iss', 'https://mallory.example')), because(/unexpected "iss"/))
		await assert.rejects(house.redeem(tampered('iss')), because(/"iss" .* missing/))
		await assert.rejects(house.redeem(tampered('state', 'other')), because(/unexpected "state"/))
		assert.ok((await house.redeem(asked)).access_token, 'the code was not spent by that')
	})
})
