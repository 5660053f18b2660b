import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as jose from 'jose'
import * as openid from 'openid-client'
import { House, pageSays, redirects, refused, refusedAs } from './dance.js'
import { houses, inHouse } from './given.js'

describe('what is refused', inHouse, () => {
	const house = houses.plain && new House('plain')
	const ask = (id, parameters) => house.ask(id, house.person('basil'), parameters)

	for (const [what, id, redirect_uri] of [
		['another host', 'web-basic', 'https://mallory.example/callback'], ['another path', 'web-basic', 'https://basic.example/callback/'],
		['another query', 'web-basic', 'https://basic.example/other?tenant=b'], ['a fragment', 'web-basic', 'https://basic.example/callback#a'],
		['another port of a web client', 'web-basic', 'https://basic.example:8443/callback'], ['another client\'s', 'web-basic', redirects['web-post']],
		['localhost for 127.0.0.1', 'app', 'http://localhost:51234/callback'], ['no number as a port', 'app', 'http://127.0.0.1:080/callback'],
		['userinfo before the host', 'app', 'http://127.0.0.1:80@mallory.example/callback'], ['none', 'app', undefined],
	]) test(`a redirect_uri with ${what} is told on a page, and nobody is sent there`, async () => {
		pageSays(await ask(id, { redirect_uri }), 'invalid_request')
	})

	test('a registered redirect_uri with a query keeps it', async () => {
		const asked = await ask('web-basic', { redirect_uri: 'https://basic.example/other?tenant=a' })
		assert.equal(asked.redirect.searchParams.get('tenant'), 'a')
		assert.ok(asked.redirect.searchParams.get('code'))
	})

	test('an unknown client is told on a page', async () => {
		pageSays(await ask('web-basic', { client_id: 'nobody' }), 'invalid_request')
	})

	for (const [what, error, parameters] of [
		['no PKCE', 'invalid_request', { code_challenge: undefined, code_challenge_method: undefined }],
		['PKCE by plain', 'invalid_request', { code_challenge_method: 'plain' }],
		['PKCE without a method', 'invalid_request', { code_challenge_method: undefined }],
		['the implicit grant', 'unsupported_response_type', { response_type: 'token' }],
		['a hybrid flow', 'unsupported_response_type', { response_type: 'code id_token' }],
		['a scope that the client may not have', 'invalid_scope', { scope: 'openid statements.read' }],
		['an unknown resource', 'invalid_target', { resource: 'https://elsewhere.example' }],
		['prompt=none with another', 'invalid_request', { prompt: 'none login' }],
		['a request object that nobody signed', 'invalid_request_object', { request: 'eyJhbGciOiJub25lIn0.e30.' }],
		['a request_uri', 'request_uri_not_supported', { request_uri: 'https://mallory.example/request' }],
		['claims that are no JSON', 'invalid_request', { claims: '{' }],
	]) test(`${what}: the client reads ${error}, with state and iss`, async () => {
		const asked = await ask('page', parameters)
		assert.deepEqual(asked.asked, [], 'before anybody signs in')
		if (parameters.response_type) { // where the answer would have come, comes the error
			assert.equal(asked.redirect.search, '')
			asked.redirect.search = asked.redirect.hash.slice(1)
			asked.redirect.hash = ''
		}
		await assert.rejects(house.redeem(asked), (err) => {
			assert.equal(err.code, 'OAUTH_AUTHORIZATION_RESPONSE_ERROR')
			assert.equal(err.error, error)
			return true
		})
		assert.equal(asked.redirect.searchParams.get('iss'), house.issuer)
	})

	test('a wrong verifier, or none; the right one still works afterwards, once', async () => {
		const asked = await ask('page')
		for (const verifier of [openid.randomPKCECodeVerifier(), undefined]) {
			await assert.rejects(house.redeem({ ...asked, verifier }), refusedAs('invalid_grant', 400))
		}
		const tokens = await house.redeem(asked)
		await openid.fetchUserInfo(asked.config, tokens.access_token, tokens.claims().sub)
		await assert.rejects(house.redeem(asked), refusedAs('invalid_grant', 400))
		await assert.rejects(openid.fetchUserInfo(asked.config, tokens.access_token, tokens.claims().sub), (err) => err.status === 401)
	})

	test('another client\'s code, whoever the other client is', async () => {
		const asked = await ask('web-basic')
		for (const id of ['web-post', 'web-key', 'page', 'app']) {
			await assert.rejects(house.redeem({ ...asked, config: await house.as(id) }), refusedAs('invalid_grant', 400), id)
		}
	})

	test('another client\'s refresh token', async () => {
		const tokens = await house.signIn('web-basic', house.person('basil'), { scope: 'openid offline_access accounts.read' })
		for (const id of ['web-post', 'page']) {
			await assert.rejects(openid.refreshTokenGrant(await house.as(id), tokens.refresh_token), refusedAs('invalid_grant', 400))
		}
		assert.ok((await openid.refreshTokenGrant(await house.as('web-basic'), tokens.refresh_token)).access_token)
	})

	test('a client that proves itself in another way than registered', async () => {
		const { secret } = house.clients['web-basic']
		const execute = [openid.allowInsecureRequests]
		for (const [id, proof] of [
			['web-basic', openid.ClientSecretPost(secret)], ['web-basic', openid.ClientSecretBasic(`${secret}x`)], ['web-basic', openid.None()],
			['web-post', openid.ClientSecretBasic(house.clients['web-post'].secret)], ['web-key', openid.ClientSecretPost('secret-of-nobody-secret-of-nobody')],
			['web-key', openid.PrivateKeyJwt(await house.key('nightly'))], ['app', openid.ClientSecretPost('secret-of-nobody-secret-of-nobody')],
		]) {
			const config = await openid.discovery(new URL(house.issuer), id, undefined, proof, { execute })
			await refused(openid.refreshTokenGrant(config, 'rt_of_nobody'), 'invalid_client', 401, id)
		}
	})

	test('an assertion for the token endpoint, for long, or twice', async () => {
		const key = await house.key('nightly')
		const assertion = (claims) => new jose.SignJWT({ iss: 'nightly', sub: 'nightly', aud: house.issuer, jti: crypto.randomUUID(), ...claims })
			.setProtectedHeader({ alg: 'ES256', kid: key.kid }).setIssuedAt().setExpirationTime(claims?.until ?? '1m').sign(key.key)
		const ask = (client_assertion) => fetch(`${house.issuer}/token`, { method: 'POST', body: new URLSearchParams({
			grant_type: 'client_credentials', resource: house.ledger, client_assertion, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
		}) }).then(async (answer) => (await answer.json()).error ?? answer.status)
		const good = await assertion()
		assert.equal(await ask(good), 200)
		assert.equal(await ask(good), 'invalid_client')
		assert.equal(await ask(await assertion({ aud: `${house.issuer}/token` })), 'invalid_client')
		assert.equal(await ask(await assertion({ aud: [house.issuer, 'https://mallory.example'] })), 'invalid_client')
		assert.equal(await ask(await assertion({ until: '2h' })), 'invalid_client')
		assert.equal(await ask(await assertion({ sub: 'hourly' })), 'invalid_client')
	})

	test('the password grant, and grants that a client does not have', async () => {
		for (const [id, grant, error] of [
			['web-basic', 'password', 'unsupported_grant_type'], ['web-basic', 'client_credentials', 'unauthorized_client'],
			['page', 'client_credentials', 'unauthorized_client'], ['nightly', 'authorization_code', 'unauthorized_client'],
		]) {
			const call = openid.genericGrantRequest(await house.as(id), grant, { username: 'basil', password: 'x', code: 'x', scope: 'accounts.read' })
			await assert.rejects(call, refusedAs(error, 400), `${id} ${grant}`)
		}
	})

	test('introspection by a client that has no proof', async () => {
		await assert.rejects(openid.tokenIntrospection(await house.as('page'), 'whatever'), refusedAs('invalid_client', 401))
	})

	test('a token in the query, of userinfo and of the Gate', async () => {
		const tokens = await house.signIn('web-basic', house.person('basil'))
		for (const url of [`${house.issuer}/userinfo`, `${house.accounts}/balance`]) {
			assert.ok([400, 401].includes((await fetch(`${url}?access_token=${tokens.access_token}`)).status), url)
		}
	})

	test('a script of an origin that is not registered', async () => {
		const cross = async (origin) => (await fetch(`${house.issuer}/token`, {
			method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' },
		})).headers.get('access-control-allow-origin')
		assert.equal(await cross('https://page.example'), 'https://page.example')
		assert.equal(await cross('https://mallory.example'), null)
	})

	test('a form that was not made for this browser', async () => {
		const amelie = house.person('amelie')
		const start = await house.ask('web-basic', { visit: (url) => ({ url }) })
		const first = await amelie.fetch(start.url)
		const where = new URL(first.headers.get('location'), house.issuer)
		const form = amelie.form(await (await amelie.fetch(where)).text())
		const target = new URL(form.action || where, where)
		const post = (person, fields) => person.fetch(target, { method: 'POST', body: new URLSearchParams({ ...fields, username: 'amelie', password: house.people.amelie }) })
		assert.equal((await post(amelie, { ...form.fields, csrf: 'x' })).status, 403)
		assert.ok([400, 403].includes((await post(house.person('basil'), form.fields)).status), 'another browser')
		assert.equal((await post(amelie, form.fields)).status, 303)
	})
})
