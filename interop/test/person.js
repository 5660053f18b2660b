import assert from 'node:assert/strict'

const entities = { amp: '&', lt: '<', gt: '>', quot: '"', '#34': '"', '#39': "'", '#43': '+' }
const plain = (text) => text.replace(/&(#?\w+);/g, (all, name) => entities[name] ?? all)
const attribute = (tag, name) => plain(new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1] ?? '')

// Person is somebody with a browser that keeps cookies, runs no script and never goes to a client: where the server sends
// them is what visit gives.
export class Person {
	constructor(issuer, name, password, { language = 'en' } = {}) {
		Object.assign(this, { issuer, name, password, language, cookies: new Map() })
	}

	async fetch(url, init = {}) {
		const headers = { accept: 'text/html', 'accept-language': this.language, ...init.headers }
		if (this.cookies.size) headers.cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
		const answer = await fetch(url, { ...init, headers, redirect: 'manual' })
		for (const line of answer.headers.getSetCookie()) this.keep(line)
		return answer
	}

	// keep obeys Set-Cookie. A cookie of ours that a browser would not take fails the test.
	keep(line) {
		const [pair, ...attributes] = line.split(/;\s*/)
		const has = (name) => attributes.find((text) => text.toLowerCase().split('=')[0] === name)
		const at = pair.indexOf('=')
		const name = pair.slice(0, at)
		// The one that tells whether a session changed is for a script in a frame, and proves nothing (Session Management 1.0).
		if (/garde-state$/.test(name)) return
		assert.ok(has('httponly'), `${name} can be read by scripts`)
		assert.match(has('samesite') ?? '', /lax|strict/i, name)
		if (this.issuer.startsWith('https:')) {
			assert.ok(name.startsWith('__Host-') && has('secure') && /^path=\/$/i.test(has('path') ?? '') && !has('domain'), line.replace(/=[^;]*/, '=...'))
		}
		if (/=0$|=-/.test(has('max-age') ?? '')) this.cookies.delete(name)
		else this.cookies.set(name, pair.slice(at + 1))
	}

	// visit opens an address, does what the pages ask, and says where it ended: {redirect} at a client, {post} for a form
	// that posts itself to one, or {page}. asked lists the pages that were filled in; language is that of the first page.
	async visit(url, { decision = 'allow', init } = {}) {
		const end = { asked: [], language: undefined }
		for (let hops = 0; hops < 15; hops++) {
			const answer = await this.fetch(url, init)
			init = undefined
			if (answer.status >= 300 && answer.status < 400) {
				await answer.arrayBuffer()
				url = new URL(answer.headers.get('location'), url)
				if (url.origin !== this.issuer) return { ...end, redirect: url }
				continue
			}
			const html = await answer.text()
			end.language ??= /<html lang="([^"]*)"/.exec(html)?.[1]
			const form = this.form(html)
			const page = { url: new URL(url), status: answer.status, html, code: /id="error-code">([^<]*)/.exec(html)?.[1], form }
			if (html.includes('id="hand-over"')) return { ...end, post: { action: form.action, fields: form.fields } }
			const next = answer.status === 200 && form && this.fill(html, form, decision)
			if (!next || end.asked.includes(next.step)) return { ...end, page }
			end.asked.push(next.step)
			url = new URL(form.action || url, url)
			init = { method: 'POST', body: new URLSearchParams(next.fields) }
		}
		assert.fail(`too many redirects, last to ${url}`)
	}

	form(html) {
		const found = /<form\b[^>]*>([\s\S]*?)<\/form>/.exec(html)
		if (!found) return undefined
		const fields = {}
		for (const [tag] of found[1].matchAll(/<input\b[^>]*>/g)) {
			if (attribute(tag, 'type') === 'hidden') fields[attribute(tag, 'name')] = attribute(tag, 'value')
		}
		return { action: attribute(found[0].slice(0, found[0].indexOf('>') + 1), 'action'), fields }
	}

	// fill fills in the pages that a person meets on the way.
	fill(html, form, decision) {
		if (html.includes('id="login-submit"')) {
			return { step: 'sign-in', fields: { ...form.fields, username: this.name, password: this.password } }
		}
		if (html.includes('id="consent-allow"')) return { step: 'consent', fields: { ...form.fields, decision } }
		if (html.includes('id="logout-yes"')) return { step: 'logout', fields: { ...form.fields, decision: 'yes' } }
		return undefined
	}
}
