import { describe, expect, it } from 'vitest'
import { all, nameOf } from '../kiosk/texts'
import { likeCertificate, nameHere } from './desk'

const head = (typ: string) => btoa(JSON.stringify({ alg: 'ES256', typ })).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '')

describe('the desk', () => {
  // A call tells staff whom to bring, in every language of the kiosk.
  it.each(['fi-FI', 'en-GB'])('names every language of the kiosk in %s', (locale) => {
    for (const code of all) expect(`${nameOf(code)} ${nameHere(code, locale)}`).toMatch(code === locale.slice(0, 2) ? /^\p{L}+ $/u : /^\p{L}+ \p{L}+/u)
  })

  it('names a language twice only where the names differ', () => {
    expect(['prs', 'fi', 'xx', 'no code'].map((code) => nameHere(code, 'fi-FI'))).toEqual(['dari', '', '', ''])
  })

  // B16: what a refused code is told to be.
  it.each([
    ['changed', `${head('kuule-pending-matter+jws')}.e30.c2ln`, true],
    ['with the ends of lines of a scanner', `${head('kuule-pending-matter+jws')}.e3\r\n0.c2ln\n`, true],
    ['of something else', `${head('kuule-ticket+jws')}.e30.c2ln`, false],
    ['of an appointment', 'K7M2-9QXA-4RTB', false],
    ['three words', 'one.two.three', false],
    ['a JSON null', `${btoa('null').replace(/=/g, '')}.e30.c2ln`, false],
    ['nothing', '', false],
  ])('a code %s', (_, code, like) => expect(likeCertificate(code)).toBe(like))
})
