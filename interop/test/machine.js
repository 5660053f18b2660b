import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { join } from 'node:path'

// machine gives a fetch that shows a certificate of the house's folder in every connection: Node's own fetch can't.
export function machine(folder, name) {
	const file = (name) => readFileSync(join(folder, name))
	const agent = new Agent({ keepAlive: false, ca: file('ca.pem'), ...(name ? { cert: file(`${name}.pem`), key: file(`${name}.key`) } : {}) })
	return (url, { method = 'GET', headers, body } = {}) => new Promise((done, failed) => {
		const sent = request(url, { method, agent, headers: Object.fromEntries(new Headers(headers)) }, (answer) => {
			const parts = []
			answer.on('data', (part) => parts.push(part)).once('error', failed).once('end', () => {
				const told = new Headers()
				for (const [name, value] of Object.entries(answer.headers)) for (const one of [value].flat()) told.append(name, one)
				const text = Buffer.concat(parts)
				done(new Response(text.length ? text : null, { status: answer.statusCode, headers: told }))
			})
		}).once('error', failed)
		sent.end(body === undefined || body === null ? undefined : body instanceof Uint8Array ? body : String(body))
	})
}
