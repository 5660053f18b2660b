import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import * as openid from 'openid-client'
import { House } from './dance.js'
import { houses, inHouse } from './given.js'

// The operation asks for a sign-in of the last thirty seconds, which is the least that a recipe may say.
describe('openid-client, after a challenge (RFC 9470)', inHouse, () => {
	const house = houses.plain && new House('plain')
	const call = async (config, tokens) => {
		try {
			return { status: (await openid.fetchProtectedResource(config, tokens.access_token, new URL(`${house.accounts}/orders`), 'POST')).status }
		} catch (err) {
			assert.ok(err instanceof openid.WWWAuthenticateChallengeError, err.stack)
			return { status: err.status, asks: err.cause.find(({ scheme }) => scheme === 'bearer').parameters }
		}
	}

	test('it sends the person back with acr_values and max_age, and the new token suffices', async () => {
		const person = house.person('amelie')
		const tokens = await house.signIn('web-basic', person)
		const config = await house.as('web-basic')
		assert.equal((await call(config, tokens)).status, 200, 'the sign-in is fresh')
		await pause(31500)

		const { status, asks } = await call(config, tokens)
		assert.equal(status, 401)
		assert.equal(asks.error, 'insufficient_user_authentication')
		assert.equal(asks.acr_values, 'urn:garde:loa:basic')
		assert.equal(asks.max_age, '30')

		const again = await house.ask('web-basic', person, { acr_values: asks.acr_values, max_age: asks.max_age })
		assert.ok(again.redirect, `the browser stands at ${again.page?.url.pathname}: ${again.page?.status} ${again.page?.code}`)
		const fresh = await house.redeem(again, { checks: { maxAge: Number(asks.max_age) } })
		assert.equal(fresh.claims().sub, tokens.claims().sub)
		assert.ok(fresh.claims().auth_time > tokens.claims().auth_time)
		assert.equal((await call(config, fresh)).status, 200)
		assert.equal((await call(config, tokens)).status, 401, 'the old token is none the better')
	})
})
