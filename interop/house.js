// Builds two houses on free ports of this machine, one on plain loopback and one on HTTPS with an authority of its own:
// a Server, a Gate and an API behind it. Then it runs a command with GARDE_HOUSES, the file that describes them, ends
// everything, and exits as the command did.
//
//   node house.js GARDE-PROGRAM FOLDER COMMAND...
import { spawn } from 'node:child_process'
import { randomBytes, X509Certificate } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createServer as listen } from 'node:net'
import { join } from 'node:path'
import * as jose from 'jose'

const [program, folder, ...command] = process.argv.slice(2)
const secretOf = ['web-basic', 'web-post', 'hourly', 'accounts-api', 'gate']
const keyOf = ['web-key', 'nightly', 'ledger-api']
const boundKeyOf = ['fapi', 'sealed', 'till', 'told'] // of the secure house alone: fixture/bound.yaml
const algs = ['RS256', 'EdDSA', 'ES384', 'PS256']
const running = []

async function freePorts(count) {
	const servers = await Promise.all(Array.from({ length: count }, () => new Promise((done, failed) => {
		const server = listen().once('error', failed).listen(0, '127.0.0.1', () => done(server))
	})))
	const ports = servers.map((server) => server.address().port)
	await Promise.all(servers.map((server) => new Promise((done) => server.close(done))))
	return ports
}

// The API behind the Gate answers what the Gate told it.
function upstream() {
	return new Promise((done) => {
		const server = createServer((request, answer) => {
			answer.setHeader('content-type', 'application/json')
			answer.end(JSON.stringify({ path: request.url, headers: request.headers }))
		}).listen(0, '127.0.0.1', () => done(server))
	})
}

// fill replaces {{name}}; a line that a value leaves empty goes.
function fill(text, values) {
	return text.replace(/\{\{(\w+)\}\}/g, (_, name) => values[name]).replace(/^[ \t]+\n/gm, '')
}

function run(name, args, dir) {
	const child = spawn(program, args, { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] })
	const part = { name, child, said: '', ended: new Promise((done) => child.once('exit', done)) }
	for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => { part.said += text })
	running.push(part)
	return new Promise((ready, failed) => {
		const look = () => { if (/\bready\b/.test(part.said)) ready() }
		child.stdout.on('data', look)
		child.stderr.on('data', look)
		child.once('exit', (code) => failed(new Error(`garde ${name} ended with ${code}:\n${part.said}`)))
		setTimeout(() => failed(new Error(`garde ${name} is not ready within 20 s:\n${part.said}`)), 20000).unref()
	})
}

// box gives a client a key to encrypt to, and its public half.
async function box(client) {
	const { publicKey, privateKey } = await jose.generateKeyPair('ECDH-ES', { extractable: true })
	client.box = { ...(await jose.exportJWK(privateKey)), alg: 'ECDH-ES', kid: 'box-1' }
	return { ...(await jose.exportJWK(publicKey)), alg: 'ECDH-ES', kid: 'box-1', use: 'enc' }
}

async function build(name, secure, api) {
	const dir = join(folder, name)
	await mkdir(dir, { mode: 0o700 })
	const keep = (file, text) => writeFile(join(dir, file), text, { mode: 0o600 })
	const [port, gatePort, mtlsPort, toldPort] = await freePorts(4)
	const scheme = secure ? 'https' : 'http'
	const house = { issuer: `${scheme}://localhost:${port}`, gate: `${scheme}://localhost:${gatePort}`, clients: {}, people: {}, algs, folder, toldPort }
	const secret = () => randomBytes(32).toString('base64url')
	for (const id of [...secretOf, ...algs.map((alg) => `web-${alg.toLowerCase()}`)]) {
		house.clients[id] = { secret: `${secret()}${id === 'web-basic' ? ' +%&:/"' : ''}` }
		await keep(`${id}.secret`, house.clients[id].secret)
	}
	for (const id of secure ? [...keyOf, ...boundKeyOf] : keyOf) {
		const { publicKey, privateKey } = await jose.generateKeyPair('ES256', { extractable: true })
		const kid = `${id}-1`
		house.clients[id] = { jwk: { ...(await jose.exportJWK(privateKey)), alg: 'ES256', kid } }
		const keys = [{ ...(await jose.exportJWK(publicKey)), alg: 'ES256', kid, use: 'sig' }]
		if (id === 'sealed') keys.push(await box(house.clients[id]))
		await keep(`${id}.jwks.json`, JSON.stringify({ keys }))
	}
	if (secure) {
		const certificate = new X509Certificate(await readFile(join(folder, 'self.pem')))
		const jwk = { ...certificate.publicKey.export({ format: 'jwk' }), kid: 'self-1', use: 'sig', x5c: [certificate.raw.toString('base64')] }
		await keep('self.jwks.json', JSON.stringify({ keys: [jwk] }))
		await keep('statement.schema.json', await readFile(new URL('fixture/statement.schema.json', import.meta.url)))
	}
	for (const person of ['amelie', 'basil']) house.people[person] = secret()
	const values = {
		...house, ...house.people, port, gatePort, upstream: `http://127.0.0.1:${api.address().port}`,
		tls: secure ? 'tls: {cert: ../server.pem, key: ../server.key}' : '',
		fetch: secure ? `fetch: {authorities: ../ca.pem, allow_hosts: ["localhost:${toldPort}"]}` : '',
		mtls: secure ? `mtls: {listen: "127.0.0.1:${mtlsPort}", url: "https://localhost:${mtlsPort}", authorities: ../callers.pem}` : '',
		certificates: secure ? 'client_certificates: true' : '', boundAPIs: '', boundClients: '', boundRest: '',
		boundScopes: secure ? '  vault.read: {say: {en: Read statements, fr: Lire les relevés}}' : '',
		algs: algs.map((alg) => `  web-${alg.toLowerCase()}: {type: web, auth: client_secret_basic, secrets: ["file:web-${alg.toLowerCase()}.secret"], ` +
			`id_token_signed_response_alg: ${alg}, redirect_uris: ["https://${alg.toLowerCase()}.example/callback"], scopes: [openid, accounts.read]}`).join('\n'),
	}
	if (secure) {
		const parts = fill(await readFile(new URL('fixture/bound.yaml', import.meta.url), 'utf8'), values).split(/^# --- .*\n/m)
		Object.assign(values, { boundAPIs: parts[1], boundClients: parts[2], boundRest: parts[3] })
	}
	await keep('master.key', await master(dir))
	for (const file of ['node.yaml', 'recipe.yaml', 'people.yaml']) {
		await keep(file, fill(await readFile(new URL(`fixture/${file}`, import.meta.url), 'utf8'), values))
	}
	await run(`serve of the ${name} house`, ['serve', '--config', join(dir, 'node.yaml')], dir)
	await run(`gate of the ${name} house`, ['gate', '--config', join(dir, 'node.yaml')], dir)
	return house
}

// master takes the key that garde init makes: how it is written is garde's own affair.
async function master(dir) {
	const first = join(dir, 'init')
	const child = spawn(program, ['init', first], { stdio: 'ignore' })
	const code = await new Promise((done) => child.once('exit', done))
	if (code !== 0) throw new Error(`garde init ended with ${code}`)
	return readFile(join(first, 'master.key'))
}

// end stops everything as Ctrl-C does, and tells who did not end well.
async function end() {
	const late = []
	for (const { child } of running) child.kill('SIGINT')
	for (const { name, child, ended, said } of running) {
		const patience = setTimeout(() => { late.push(`garde ${name} did not end within 10 s`); child.kill('SIGKILL') }, 10000)
		const code = await ended
		clearTimeout(patience)
		if (code !== 0) late.push(`garde ${name} ended with ${code}:\n${said}`)
	}
	return late
}

let code = 1
let clients
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => clients ? clients.kill(signal) : end().then(() => process.exit(1)))
const api = await upstream()
try {
	const built = await Promise.allSettled([build('plain', false, api), build('secure', true, api)])
	for (const { reason } of built) if (reason) throw reason
	const [plain, secure] = built.map(({ value }) => value)
	const file = join(folder, 'houses.json')
	await writeFile(file, JSON.stringify({ plain, secure }), { mode: 0o600 })
	const env = {
		...process.env, GARDE_HOUSES: file, GARDE_ISSUER: plain.issuer, GARDE_CLIENT_ID: 'web-basic', GARDE_CLIENT_SECRET: plain.clients['web-basic'].secret,
		GARDE_REDIRECT_URI: 'https://basic.example/callback', GARDE_USER: 'basil', GARDE_PASSWORD: plain.people.basil,
		NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem'),
	}
	clients = spawn(command[0], command.slice(1), { stdio: 'inherit', env })
	code = await new Promise((done) => clients.once('exit', (code) => done(code ?? 1)))
} catch (err) {
	console.error(err.message)
}
const late = await end()
api.close()
api.closeAllConnections()
for (const line of late) console.error(line)
if (code !== 0) for (const { name, said } of running) console.error(`--- what garde ${name} said last:\n${said.slice(-4000)}`)
process.exit(late.length ? 1 : code)
