import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import test from 'node:test'

const read = async (path) => JSON.parse(await readFile(new URL(path, import.meta.url), 'utf8'))

test('the clients are those that were pinned', async () => {
	const { dependencies } = await read('../package.json')
	for (const [name, version] of Object.entries(dependencies)) {
		const found = await read(`../node_modules/${name}/package.json`)
		assert.equal(found.version, version, name)
	}
})
