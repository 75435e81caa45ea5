import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ar } from './ar'
import { en } from './en'
import { fi } from './fi'
import { clockText, languages } from './index'

type Tree = { [key: string]: string | Tree }

function flat(tree: Tree, path = ''): Map<string, string> {
  const out = new Map<string, string>()
  for (const [key, value] of Object.entries(tree)) {
    const at = path === '' ? key : `${path}.${key}`
    if (typeof value === 'string') out.set(at, value)
    else for (const [k, v] of flat(value, at)) out.set(k, v)
  }
  return out
}

const finnish = flat(fi)
const mayBeEmpty = new Set(['applicant.unreviewed'])

describe('catalogues', () => {
  const applicants = new Map([...finnish].filter(([key]) => !key.startsWith('staff.')))
  it.each([
    ['en', flat(en), finnish],
    ['ar', flat(ar), applicants],
  ] as const)('%s says everything that Finnish says, with the same values filled in', (_, texts, wanted) => {
    expect([...texts.keys()].sort()).toEqual([...wanted.keys()].sort())
    for (const [key, text] of texts) {
      if (!mayBeEmpty.has(key)) expect(text.trim(), key).not.toBe('')
      const values = (s: string | undefined) => (s?.match(/\{\{\w+\}\}/g) ?? []).sort()
      expect(values(text), key).toEqual(values(wanted.get(key)))
    }
  })

  it('has the Arabic comma in Arabic', () => {
    for (const [key, text] of flat(ar)) expect(text, key).not.toMatch(/\p{Script=Arabic}[,;?]|^,/u)
    expect(flat(ar).get('shared.beside')).toContain('،')
  })

  it('says of an unreviewed language that it is one', () => {
    expect(languages.ar.reviewed).toBe(false)
    expect(ar.applicant.unreviewed).not.toBe('')
  })
})

// C9: every refusal has words and a way that is still open.
describe('problems', () => {
  const source = readFileSync(new URL('../../../internal/problem/codes.go', import.meta.url), 'utf8')
  const ways = readFileSync(new URL('../../../internal/problem/problem.go', import.meta.url), 'utf8')
  const quoted = (text: string, type: string) => [...text.matchAll(new RegExp(`${type}\\s*=\\s*"([a-z-]+)"|\\b${type}\\w+\\s+${type}\\s*=\\s*"([a-z-]+)"`, 'g'))].map((m) => m.slice(1).find(Boolean))
  const codes = quoted(source, 'Code')

  it('finds the registry', () => expect(codes.length).toBeGreaterThan(50))
  it.each(['fi', 'en', 'ar'] as const)('has a text for every code and way in %s', (language) => {
    const catalogue = { fi, en, ar }[language]
    expect(Object.keys(catalogue.problem).sort()).toEqual([...codes].sort())
    expect(Object.keys(catalogue.way).sort()).toEqual(quoted(ways, 'Way').sort())
  })
})

it('reads the hearing clock as people do', () => {
  expect(clockText(0)).toBe('0:00')
  expect(clockText(65_900_000)).toBe('1:05')
  expect(clockText(3_845_000_000)).toBe('1:04:05')
})
