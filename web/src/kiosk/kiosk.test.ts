import { describe, expect, it } from 'vitest'
import { grouped, isRight, length, symbol } from './reference'
import { readMessage } from './visit'

// B21: the code of an invitation is noticed to be mistyped before it is sent.
describe('the code on an invitation', () => {
  // As interview/reference_test.go has it.
  const right = 'ZVEBN63PQ'
  const code = right.slice(0, 8)
  const check = '0123456789ABCDEFGHJKMNPQRSTVWXYZ*~$=U'

  it('holds with its check symbol and with no other', () => {
    expect(isRight(right)).toBe(true)
    for (const other of check) if (other !== right[8]) expect(isRight(code + other)).toBe(false)
  })
  it('does not hold with one symbol changed or two swapped', () => {
    for (let i = 0; i < 8; i++) {
      for (const other of check.slice(0, 32)) if (other !== right[i]) expect(isRight(right.slice(0, i) + other + right.slice(i + 1))).toBe(false)
      if (i > 0 && right[i] !== right[i - 1]) expect(isRight(right.slice(0, i - 1) + right[i] + right[i - 1] + right.slice(i + 1))).toBe(false)
    }
  })
  it('takes letters that look like digits, and nothing that is no symbol', () => {
    expect(['o', 'I', 'l', 'a', 'U'].map(symbol)).toEqual(['0', '1', '1', 'A', 'U'])
    expect(['', '-', 'Ä', 'Enter', ' '].map(symbol)).toEqual(['', '', '', '', ''])
  })
  it('is shown as it is printed', () => {
    expect(grouped('')).toBe('')
    expect(grouped(right)).toMatch(/^.{4}-.{4}-.$/)
    expect(right).toHaveLength(length)
  })
})

describe('messages of the kiosk', () => {
  it('are read as what they say', () => {
    expect(readMessage('{"type":"step","step":{"step":"reading","done":8}}')).toEqual({ at: 'step', step: 'reading', done: 8 })
    expect(readMessage('{"type":"outcome","outcome":{"result":"join","way":"interviewer","place":"Huone 2","expires":7}}')).toEqual({ at: 'outcome', outcome: { result: 'join', place: 'Huone 2', expires: 7 } })
    expect(readMessage('{"type":"problem","problem":{"code":"not-booked","way":"interviewer"}}')).toMatchObject({ at: 'problem', problem: { code: 'not-booked' } })
  })
  it('that nobody would send say nothing', () => {
    for (const text of ['null', '7', '{}', '{"type":"step","step":{"step":"dance"}}', '{"type":"outcome","outcome":{"result":"no"}}']) expect(readMessage(text)).toBeNull()
  })
})
