import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as openid from 'openid-client'
import { House } from './dance.js'
import { houses, inHouse } from './given.js'

const answered = (asked, error) => {
	assert.equal(asked.redirect?.searchParams.get('error'), error, asked.page?.code)
	assert.equal(asked.redirect.searchParams.get('state'), asked.state)
	assert.deepEqual(asked.asked, [])
}
const second = () => new Promise((done) => setTimeout(done, 1100))

for (const name of ['plain', 'secure']) describe(`a session, ${name}`, inHouse, () => {
	const house = houses[name] && new House(name)

	test('prompt=none: login_required, then consent_required, then silence and a code', async () => {
		const person = house.person('amelie')
		answered(await house.ask('page', person, { prompt: 'none' }), 'login_required')
		const first = await house.signIn('page', person)
		const silent = await house.ask('page', person, { prompt: 'none', id_token_hint: first.id_token })
		assert.deepEqual(silent.asked, [])
		const tokens = await house.redeem(silent)
		assert.equal(tokens.claims().sid, first.claims().sid)
		assert.equal(tokens.claims().auth_time, first.claims().auth_time)
		answered(await house.ask('app', person, { prompt: 'none' }), 'consent_required')
		const other = await house.signIn('page', house.person('basil'))
		answered(await house.ask('page', person, { prompt: 'none', id_token_hint: other.id_token }), 'login_required')
	})

	test('a person is asked once, and a native client each time', async () => {
		const person = house.person('amelie')
		const scope = 'openid profile accounts.read'
		await house.signIn('web-basic', person, { scope })
		assert.deepEqual((await house.ask('web-basic', person, { scope })).asked, [])
		assert.deepEqual((await house.ask('web-basic', person, { scope, prompt: 'consent' })).asked, ['consent'])
		for (let i = 0; i < 2; i++) assert.deepEqual((await house.ask('app', person)).asked, ['consent'])
	})

	test('prompt=login and a max_age that has passed make the person sign in again', async () => {
		const person = house.person('amelie')
		const first = await house.signIn('page', person)
		const patient = await house.ask('page', person, { max_age: '300' })
		assert.deepEqual(patient.asked, [])
		assert.equal((await house.redeem(patient, { checks: { maxAge: 300 } })).claims().auth_time, first.claims().auth_time)
		let last = first.claims().auth_time
		for (const parameters of [{ prompt: 'login' }, { max_age: '0' }, { max_age: '1' }]) {
			await second()
			if (parameters.max_age === '1') await second()
			const asked = await house.ask('page', person, parameters)
			assert.deepEqual(asked.asked, ['sign-in'], JSON.stringify(parameters))
			const { auth_time } = (await house.redeem(asked, { checks: parameters.max_age ? { maxAge: Number(parameters.max_age) } : {} })).claims()
			assert.ok(auth_time > last, `auth_time ${auth_time} is not after ${last}`)
			last = auth_time
		}
		await second()
		answered(await house.ask('page', person, { max_age: '0', prompt: 'none' }), 'login_required')
	})

	test('the application signs the person out, and the session is gone everywhere', async () => {
		const person = house.person('amelie')
		const tokens = await house.signIn('web-basic', person)
		const config = await house.as('web-basic')
		const url = openid.buildEndSessionUrl(config, {
			id_token_hint: tokens.id_token, post_logout_redirect_uri: 'https://basic.example/bye', state: 'see you',
		})
		const end = await person.visit(url)
		assert.deepEqual(end.asked, [], 'with a good hint nobody is asked')
		assert.equal(end.redirect?.href, 'https://basic.example/bye?state=see+you')
		answered(await house.ask('web-basic', person, { prompt: 'none' }), 'login_required')
		await assert.rejects(openid.fetchUserInfo(config, tokens.access_token, tokens.claims().sub), (err) => err.status === 401)
	})

	test('an address that is not registered is not gone to', async () => {
		const person = house.person('amelie')
		const tokens = await house.signIn('web-basic', person)
		const config = await house.as('web-basic')
		for (const post_logout_redirect_uri of ['https://basic.example/other', 'https://basic.example/bye/', 'https://mallory.example/bye']) {
			const end = await person.visit(openid.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri }))
			assert.ok(end.page?.html.includes('id="signed-out"'), post_logout_redirect_uri)
		}
		answered(await house.ask('web-basic', person, { prompt: 'none' }), 'login_required')
	})

	test('without a hint, or with a false one, the person is asked and stays', async () => {
		const person = house.person('amelie')
		const tokens = await house.signIn('web-basic', person)
		const config = await house.as('web-basic')
		const [head, body] = tokens.id_token.split('.')
		for (const id_token_hint of [undefined, `${head}.${body}.AAAA`]) {
			await house.signIn('web-basic', person)
			const url = openid.buildEndSessionUrl(config, { post_logout_redirect_uri: 'https://basic.example/bye' })
			if (id_token_hint) url.searchParams.set('id_token_hint', id_token_hint)
			const end = await person.visit(url)
			assert.deepEqual(end.asked, ['logout'])
			assert.ok(end.page?.html.includes('id="signed-out"'))
			answered(await house.ask('web-basic', person, { prompt: 'none' }), 'login_required')
		}
	})

	test('what was granted for longer outlives the session', async () => {
		const person = house.person('amelie')
		const tokens = await house.signIn('web-basic', person, { scope: 'openid offline_access accounts.read' })
		const config = await house.as('web-basic')
		const end = await person.visit(openid.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: 'https://basic.example/bye' }))
		assert.deepEqual(end.asked, [])
		assert.equal(end.redirect?.href, 'https://basic.example/bye')
		answered(await house.ask('web-basic', person, { prompt: 'none' }), 'login_required')
		assert.ok((await openid.refreshTokenGrant(config, tokens.refresh_token)).access_token)
	})
})

describe('what a client may wish', inHouse, () => {
	const house = houses.plain && new House('plain')

	test('claims by name, in the ID token and at userinfo', async () => {
		const claims = { id_token: { email: null, email_verified: { essential: true } }, userinfo: { name: null, birthdate: null } }
		const tokens = await house.signIn('web-basic', house.person('amelie'), { scope: 'openid', claims: JSON.stringify(claims) })
		assert.equal(tokens.claims().email, 'amelie@people.example')
		assert.equal(tokens.claims().email_verified, true)
		assert.equal(tokens.claims().name, undefined)
		const about = await openid.fetchUserInfo(await house.as('web-basic'), tokens.access_token, tokens.claims().sub)
		assert.equal(about.name, 'Amélie Durand')
		assert.equal(about.birthdate, undefined)
	})

	test('a subject: nobody else can answer', async () => {
		const { sub } = (await house.signIn('page', house.person('amelie'))).claims()
		const basil = house.person('basil')
		await house.signIn('page', basil)
		const asked = await house.ask('page', basil, { prompt: 'none', claims: JSON.stringify({ id_token: { sub: { value: sub } } }) })
		answered(asked, 'login_required')
	})

	test('an essential acr: one that is reached, and one that nobody reaches', async () => {
		const acr = (value) => ({ claims: JSON.stringify({ id_token: { acr: { essential: true, values: [value] } } }) })
		const person = house.person('amelie')
		assert.equal((await house.signIn('page', person, acr('urn:garde:loa:basic'))).claims().acr, 'urn:garde:loa:basic')
		const asked = await house.ask('page', person, acr('urn:garde:loa:golden'))
		answered(asked, 'unmet_authentication_requirements')
	})

	test('a language: the request counts before the browser', async () => {
		for (const [ui_locales, language, want] of [['fr', 'en', 'fr'], ['fr-CA en', 'en', 'fr'], [undefined, 'fr', 'fr'], ['nl', 'en', 'en'], ['en', 'fr', 'en']]) {
			const asked = await house.ask('web-basic', house.person('amelie', { language }), { ui_locales })
			assert.equal(asked.language, want, `${ui_locales} ${language}`)
		}
	})

	test('a login_hint stands in the form', async () => {
		const person = house.person('amelie')
		const config = await house.as('page')
		const asked = await house.ask('page', { visit: (url) => person.fetch(url).then((answer) => person.fetch(new URL(answer.headers.get('location'), url))).then(async (answer) => ({ html: await answer.text() })) }, { login_hint: 'basil' })
		assert.ok(config && /id="username"[^>]*value="basil"/.test(asked.html))
	})

	test('no: the client learns access_denied', async () => {
		const asked = await house.ask('app', house.person('basil'), {}, { decision: 'deny' })
		assert.equal(asked.redirect.searchParams.get('error'), 'access_denied')
		await assert.rejects(house.redeem(asked), (err) => err.error === 'access_denied')
	})

	test('a request by POST', async () => {
		const { url } = await house.ask('page', { visit: () => ({}) })
		const end = await house.person('amelie').visit(new URL(url.pathname, url), { init: { method: 'POST', body: url.searchParams } })
		assert.ok(end.redirect.searchParams.get('code'))
	})
})
