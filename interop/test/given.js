import { readFileSync } from 'node:fs'

// What run.sh was told about the server under test.
export const issuer = process.env.GARDE_ISSUER
export const client = {
	id: process.env.GARDE_CLIENT_ID,
	secret: process.env.GARDE_CLIENT_SECRET,
	redirect: process.env.GARDE_REDIRECT_URI,
}
export const person = { name: process.env.GARDE_USER, password: process.env.GARDE_PASSWORD }

// unless gives node's test runner the reason to skip a test: the names of what it needs and was not told.
export function unless(names) {
	const missing = names.filter((name) => !process.env[name])
	return { skip: missing.length ? `${missing.join(', ')} not given` : false }
}

// The houses that house.js built, plain and secure, and the reason to skip what only they can show.
export const houses = process.env.GARDE_HOUSES ? JSON.parse(readFileSync(process.env.GARDE_HOUSES, 'utf8')) : {}
export const inHouse = unless(['GARDE_HOUSES'])
