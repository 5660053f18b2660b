import assert from 'node:assert/strict'
import * as jose from 'jose'
import * as openid from 'openid-client'
import { houses } from './given.js'
import { Person } from './person.js'

export const redirects = {
	app: 'http://127.0.0.1:51234/callback', page: 'https://page.example/callback', 'web-basic': 'https://basic.example/callback',
	'web-post': 'https://post.example/callback', 'web-key': 'https://key.example/callback',
}

// House is one running house as its clients and people see it.
export class House {
	constructor(name) {
		Object.assign(this, houses[name])
		this.accounts = `${this.gate}/accounts`
		this.ledger = `${this.gate}/ledger`
		this.found = new Map()
	}

	person(name, options) {
		return new Person(this.issuer, name, this.people[name], options)
	}

	redirect(id) {
		return redirects[id] ?? `https://${id.replace('web-', '')}.example/callback`
	}

	key(id) {
		const { jwk } = this.clients[id]
		return jose.importJWK(jwk, jwk.alg).then((key) => ({ key, kid: jwk.kid }))
	}

	// as gives openid-client's configuration of a client, with the proof that it is registered for.
	async as(id) {
		if (!this.found.has(id)) this.found.set(id, this.discover(id))
		return this.found.get(id)
	}

	async discover(id) {
		const { secret, jwk } = this.clients[id] ?? {}
		const proof = jwk ? openid.PrivateKeyJwt(await this.key(id))
			: !secret ? openid.None() : id === 'web-post' ? openid.ClientSecretPost(secret) : openid.ClientSecretBasic(secret)
		const alg = this.algs.find((alg) => id === `web-${alg.toLowerCase()}`) ?? 'ES256'
		const execute = this.issuer.startsWith('http:') ? [openid.allowInsecureRequests] : []
		return openid.discovery(new URL(this.issuer), id, { id_token_signed_response_alg: alg, use_mtls_endpoint_aliases: false }, proof, { execute })
	}

	// ask sends a person with an authorization request, and gives where it ended with what the client must remember.
	async ask(id, person, parameters = {}, how = {}) {
		const config = await this.as(id)
		const remembered = { verifier: openid.randomPKCECodeVerifier(), state: openid.randomState(), nonce: openid.randomNonce() }
		const url = openid.buildAuthorizationUrl(config, {
			redirect_uri: this.redirect(id), scope: 'openid accounts.read', state: remembered.state, nonce: remembered.nonce,
			code_challenge: await openid.calculatePKCECodeChallenge(remembered.verifier), code_challenge_method: 'S256', ...parameters,
		})
		for (const [name, value] of Object.entries(parameters)) if (value === undefined) url.searchParams.delete(name)
		return { config, url, ...remembered, ...await person.visit(url, how) }
	}

	// redeem lets the library judge the answer and exchange the code.
	redeem(asked, { checks = {}, parameters } = {}) {
		const answer = asked.redirect ?? new Request(asked.post.action, { method: 'POST', body: new URLSearchParams(asked.post.fields) })
		return openid.authorizationCodeGrant(asked.config, answer, {
			pkceCodeVerifier: asked.verifier, expectedState: asked.state, expectedNonce: asked.nonce, ...checks,
		}, parameters)
	}

	async signIn(id, person, parameters, how) {
		const asked = await this.ask(id, person, parameters)
		assert.ok(asked.redirect ?? asked.post, `the browser stands at ${asked.page?.url.pathname}: ${asked.page?.status} ${asked.page?.code}`)
		return this.redeem(asked, how)
	}
}

// refusedAs is for assert.rejects: the library saw this OAuth error, by redirect or in an answer of the server.
export const refusedAs = (code, status) => (err) => {
	assert.equal(err.error, code, err.stack)
	if (status) assert.equal(err.status, status)
	return true
}

// refused is for a client that was not believed: with a challenge for Basic in the answer, the library leaves its body unread.
export async function refused(call, code, status, what) {
	const err = await call.then(() => assert.fail(`${what} was not refused`), (err) => err)
	assert.equal(err.error ?? (await err.response.clone().json()).error, code, what)
	assert.equal(err.status, status, what)
}

// pageSays asserts that a person ended at a page of the server that names this error, and was sent nowhere.
export function pageSays(asked, code) {
	assert.equal(asked.redirect, undefined)
	assert.equal(asked.page.status, 400)
	assert.equal(asked.page.code, code)
}
