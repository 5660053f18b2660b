import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import * as jose from 'jose'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { House, refusedAs } from './dance.js'
import { houses, inHouse } from './given.js'

// asked goes on from a page on which a person is asked for something, and gives the page after their word.
async function decide(person, at, decision) {
	const html = await at.text()
	assert.ok(html.includes('id="asked-allow"'), `nobody is asked at ${at.url}: ${at.status}`)
	const form = person.form(html)
	return follow(person, new URL(form.action || at.url, at.url), { method: 'POST', body: new URLSearchParams({ ...form.fields, decision }) })
}

// follow goes where the server sends a person, as far as a page.
async function follow(person, url, init) {
	for (let hops = 0; hops < 10; hops++) {
		const answer = await person.fetch(url, init)
		init = undefined
		if (answer.status < 300 || answer.status >= 400) return Object.defineProperty(answer, 'url', { value: String(url) })
		url = new URL(answer.headers.get('location'), url)
	}
	assert.fail('too many redirects')
}

describe('what is decided elsewhere', inHouse, () => {
	const house = houses.secure && new House('secure')

	for (const decision of ['allow', 'deny']) test(`a device without a browser: ${decision}`, async () => {
		const config = await house.discover('tv')
		const begun = await openid.initiateDeviceAuthorization(config, { scope: 'openid accounts.read' })
		assert.match(begun.user_code, /^[A-Z0-9]{4}-[A-Z0-9]{4}$/)
		const person = house.person('amelie')
		await house.signIn('page', person)
		const entry = await follow(person, new URL(begun.verification_uri))
		const form = person.form(await entry.text())
		const confirm = await follow(person, new URL(form.action || entry.url, entry.url), { method: 'POST', body: new URLSearchParams({ ...form.fields, user_code: begun.user_code }) })
		const polled = openid.pollDeviceAuthorizationGrant(config, begun)
		polled.catch(() => {})
		await decide(person, confirm, decision)
		if (decision === 'deny') return assert.rejects(polled, refusedAs('access_denied', 400))
		const tokens = await polled
		assert.equal(tokens.claims().aud, 'tv')
		assert.equal((await fetch(`${house.accounts}/balance`, { headers: { authorization: `Bearer ${tokens.access_token}` } })).status, 200)
	})

	test('CIBA: the person says no on a page of their account', async () => {
		const config = await house.discover('till')
		const begun = await openid.initiateBackchannelAuthentication(config, { scope: 'openid accounts.read', login_hint: 'amelie', binding_message: 'till 7' })
		const person = house.person('amelie')
		await house.signIn('page', person)
		const list = await (await follow(person, new URL('/account/requests', house.issuer))).text()
		assert.ok(list.includes('till 7'))
		const [, id] = /\/account\/requests\?id=([^"&]+)/.exec(list)
		const polled = openid.pollBackchannelAuthenticationGrant(config, begun)
		polled.catch(() => {})
		await decide(person, await follow(person, new URL(`/account/requests?id=${id}`, house.issuer)), 'deny')
		await assert.rejects(polled, refusedAs('access_denied', 400))
	})

	test('CIBA: the person says yes in an application of theirs, and somebody else can not', async () => {
		const config = await house.discover('till')
		const begun = await openid.initiateBackchannelAuthentication(config, { scope: 'openid accounts.read', login_hint: 'basil', binding_message: 'till 8' })
		const applications = {}
		for (const name of ['amelie', 'basil']) applications[name] = await house.signIn('phone', house.person(name), { scope: 'garde.approve', nonce: undefined }, { checks: { expectedNonce: undefined } })
		const call = (name, path, init = {}) => fetch(`${house.issuer}/requests${path}`, { ...init, headers: { authorization: `Bearer ${applications[name].access_token}`, 'content-type': 'application/json' } })
		const { requests } = await (await call('basil', '')).json()
		const asked = requests.find((one) => one.binding_message === 'till 8')
		assert.equal(asked.client.id, 'till')
		const yes = { method: 'POST', body: JSON.stringify({ decision: 'allow' }) }
		assert.ok((await call('amelie', `/${asked.id}`, yes)).status >= 400)
		assert.equal((await call('basil', `/${asked.id}`, yes)).status, 204)
		const tokens = await openid.pollBackchannelAuthenticationGrant(config, begun)
		assert.equal(tokens.claims().aud, 'till')
		assert.equal((await openid.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)).sub, tokens.claims().sub)
	})

	test('a sign-out is told over the backchannel', async (t) => {
		const file = (name) => readFileSync(join(house.folder, name))
		let heard
		const told = new Promise((done) => { heard = done })
		const server = createServer({ cert: file('server.pem'), key: file('server.key') }, (request, answer) => {
			let body = ''
			request.on('data', (part) => { body += part }).once('end', () => { answer.end(); heard({ method: request.method, type: request.headers['content-type'], body }) })
		})
		await new Promise((done) => server.listen(house.toldPort, '127.0.0.1', done))
		t.after(() => new Promise((done) => { server.close(done); server.closeAllConnections() }))
		const person = house.person('amelie')
		const tokens = await house.signIn('told', person, { scope: 'openid' })
		const config = await house.as('told')
		await person.visit(openid.buildEndSessionUrl(config, { id_token_hint: tokens.id_token }))
		const { method, type, body } = await told
		assert.equal(method, 'POST')
		assert.match(type, /^application\/x-www-form-urlencoded/)
		const form = new URLSearchParams(body)
		assert.deepEqual([...form.keys()], ['logout_token'])
		const keys = jose.createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri))
		const { payload } = await jose.jwtVerify(form.get('logout_token'), keys, { issuer: house.issuer, audience: 'told', typ: 'logout+jwt', requiredClaims: ['iat', 'jti', 'exp'] })
		assert.deepEqual(payload.events, { 'http://schemas.openid.net/event/backchannel-logout': {} })
		assert.equal(payload.sid, tokens.claims().sid)
		assert.equal(payload.nonce, undefined)
	})
})

describe('what is sealed and signed', inHouse, () => {
	const house = houses.secure && new House('secure')

	test('an encrypted ID token, and userinfo as a signed JWT', async () => {
		const config = await openid.discovery(new URL(house.issuer), 'sealed', { id_token_signed_response_alg: 'ES256', userinfo_signed_response_alg: 'ES256' },
			openid.PrivateKeyJwt(await house.key('sealed')))
		const box = house.clients.sealed.box
		const key = await jose.importJWK(box, 'ECDH-ES')
		openid.enableNonRepudiationChecks(config)
		openid.enableDecryptingResponses(config, ['A256GCM'], { key, kid: box.kid, alg: 'ECDH-ES' })
		house.found.set('sealed', config)
		const sealing = []
		config[openid.customFetch] = async (url, init) => {
			const answer = await fetch(url, init)
			if (String(url).endsWith('/token')) sealing.push((await answer.clone().json()).id_token)
			if (String(url).endsWith('/userinfo')) sealing.push(answer.headers.get('content-type'))
			return answer
		}
		const tokens = await house.signIn('sealed', house.person('amelie'), { scope: 'openid profile' })
		assert.equal(tokens.claims().aud, 'sealed')
		assert.equal(sealing[0].split('.').length, 5, 'the ID token is encrypted')
		const about = await openid.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)
		assert.equal(about.name, 'Amélie Durand')
		assert.match(sealing[1], /^application\/jwt/)
	})

	test('introspection as a signed JWT (RFC 9701)', async () => {
		const issuer = new URL(house.issuer)
		const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer))
		const answer = await oauth.clientCredentialsGrantRequest(server, { client_id: 'hourly' }, oauth.ClientSecretBasic(house.clients.hourly.secret), { resource: house.ledger })
		const tokens = await oauth.processClientCredentialsResponse(server, { client_id: 'hourly' }, answer)
		const api = { client_id: 'ledger-api', introspection_signed_response_alg: 'ES256' }
		const proof = oauth.PrivateKeyJwt(await house.key('ledger-api'))
		const asked = await oauth.introspectionRequest(server, api, proof, tokens.access_token, { requestJwtResponse: true })
		assert.match(asked.headers.get('content-type'), /^application\/token-introspection\+jwt/)
		const told = await oauth.processIntrospectionResponse(server, api, asked)
		assert.equal(told.active, true)
		assert.equal(told.client_id, 'hourly')
		await oauth.validateApplicationLevelSignature(server, asked)
	})
})

describe('clients that register themselves', inHouse, () => {
	const house = houses.secure && new House('secure')

	test('openid-client registers, signs a person in, and is managed until its end (RFC 7591, RFC 7592)', async () => {
		const redirect = 'https://guest.example/callback'
		const config = await openid.dynamicClientRegistration(new URL(house.issuer), {
			client_name: 'Guest', redirect_uris: [redirect], token_endpoint_auth_method: 'client_secret_basic', id_token_signed_response_alg: 'ES256', scope: 'openid profile',
		}, openid.ClientSecretBasic())
		const { client_id, registration_client_uri, registration_access_token } = config.clientMetadata()
		house.found.set(client_id, config)
		const tokens = await house.signIn(client_id, house.person('amelie'), { redirect_uri: redirect, scope: 'openid profile' })
		assert.equal(tokens.claims().aud, client_id)

		const manage = (method, body, token = registration_access_token) => fetch(registration_client_uri, {
			method, headers: { authorization: `Bearer ${token}`, ...(body ? { 'content-type': 'application/json' } : {}) }, body: body && JSON.stringify(body),
		})
		assert.equal((await manage('GET', undefined, 'rg_' + 'A'.repeat(43))).status, 401)
		const told = await (await manage('GET')).json()
		assert.equal(told.client_name, 'Guest')
		const bad = await manage('PUT', { client_id, client_name: 'Guest', redirect_uris: ['https://guest.example/#here'], token_endpoint_auth_method: 'client_secret_basic' })
		assert.deepEqual([bad.status, (await bad.json()).error], [400, 'invalid_redirect_uri'])
		assert.equal((await manage('DELETE')).status, 204)
		assert.equal((await manage('GET')).status, 401)
		await assert.rejects(openid.fetchUserInfo(config, tokens.access_token, tokens.claims().sub), (err) => err.status === 401)
	})
})
