import { expect, it } from 'vitest'
import { newPassphrase } from './passphrase'

// H7: what opens a sealed copy is made here, long enough, and never twice.
it('makes passphrases that can be read aloud', () => {
  const made = Array.from({ length: 200 }, newPassphrase)
  for (const p of made) expect(p).toMatch(/^([0-9a-hjkmnp-tv-z]{4}-){4}[0-9a-hjkmnp-tv-z]{4}$/)
  expect(new Set(made).size).toBe(made.length)
  const counts = new Map<string, number>()
  for (const c of made.join('').replaceAll('-', '')) counts.set(c, (counts.get(c) ?? 0) + 1)
  expect(counts.size).toBe(32)
})
