import { describe, expect, it } from 'vitest'
import { besideOf, sentencesOf } from './outcome'
import { grouped, isRight, length, symbol } from './reference'
import { hashOf, strokesOf } from './Signature'
import { say } from './texts'
import { readMessage, type Outcome } from './visit'

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

const stage = { done: 0, n: 0, tries: 0, seconds: 0, order: [], text: '', hash: '', finger: 0 }

describe('messages of the kiosk', () => {
  it('are read as what they say', () => {
    expect(readMessage('{"type":"step","step":{"step":"reading","done":8}}')).toEqual({ at: 'step', stage: { ...stage, step: 'reading', done: 8 } })
    expect(readMessage('{"type":"step","step":{"step":"face","done":0,"n":3,"tries":3,"seconds":30,"order":["look-ahead","look-up"]}}')).toEqual({ at: 'step', stage: { ...stage, step: 'face', n: 3, tries: 3, seconds: 30, order: ['look-ahead', 'look-up'] } })
    expect(readMessage('{"type":"step","step":{"step":"fingers","done":2,"finger":7}}')).toEqual({ at: 'step', stage: { ...stage, step: 'fingers', done: 2, finger: 7 } })
    expect(readMessage('{"type":"outcome","outcome":{"result":"join","way":"interviewer","place":"Huone 2","expires":7,"notes":["print.paper","dance"]}}')).toEqual({
      at: 'outcome', outcome: { result: 'join', place: 'Huone 2', expires: 7, handover: '', fingers: false, square: [], notes: ['print.paper'], number: null },
    })
    expect(readMessage('{"type":"outcome","outcome":{"result":"desk","way":"ask-staff","because":"fingers"}}')).toMatchObject({ outcome: { result: 'desk', fingers: true } })
    expect(readMessage('{"type":"outcome","outcome":{"result":"join","way":"interviewer","because":"fingers"}}')).toMatchObject({ outcome: { fingers: false } })
    const waiting = (number: string) => readMessage(`{"type":"outcome","outcome":{"result":"desk","way":"ask-staff","number":${number}}}`)
    expect(waiting('{"id":"num_1","text":"A12","label":"Tiski","ahead":3,"wait":-1,"printed":true}')).toMatchObject({ outcome: { number: { text: 'A12', label: 'Tiski', ahead: 3, wait: -1, printed: true } } })
    expect(waiting('{"text":""}')).toMatchObject({ outcome: { number: null } })
    expect(readMessage('{"type":"problem","problem":{"code":"not-booked","way":"interviewer"}}')).toMatchObject({ at: 'problem', problem: { code: 'not-booked' } })
  })
  it('that nobody would send say nothing', () => {
    for (const text of ['null', '7', '{}', '{"type":"step","step":{"step":"dance"}}', '{"type":"outcome","outcome":{"result":"no"}}']) expect(readMessage(text)).toBeNull()
  })
})

// B12, B16: a finger that could not be had is told of, with a waiting number too.
describe('the end of a visit', () => {
  const outcome: Outcome = { result: 'desk', place: '', expires: 0, handover: '', fingers: false, square: [], notes: [], number: null }
  const number = { text: 'A12', label: 'Desk', ahead: 3, wait: -1, printed: false }
  it.each<[string, Partial<Outcome>, string[]]>([
    ['the desk', {}, ['outcome.desk']],
    ['the desk, with a number', { number }, ['number.wait']],
    ['without a finger', { fingers: true }, ['outcome.desk.fingers']],
    ['without a finger, with a number', { fingers: true, number }, ['outcome.desk.fingers', 'number.wait']],
    ['the room, with a number', { result: 'join', number }, ['outcome.join']],
    ['once more', { result: 'again' }, ['outcome.again']],
  ])('%s says what it has to, in order', (_, of, keys) => {
    expect(sentencesOf({ ...outcome, ...of }).keys).toEqual(keys)
  })
  it('reads out whatever is beside the first sentence', () => {
    const heard = (of: Partial<Outcome>) => besideOf({ ...outcome, ...of }, (key) => say('en', key))
    expect(heard({ fingers: true, number })).toBe('Wait until your number is on the screen. Your number: A 12.')
    expect(heard({ number })).toBe('Your number: A 12.')
    expect(heard({ fingers: true })).toBe('')
  })
})

// B6: a signature is tied to the text that was shown.
describe('a signature', () => {
  it('carries the hash of the text as the bridge names texts', async () => {
    // As interview/ticket.Hash has it.
    expect(await hashOf('')).toBe('47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU')
    expect(await hashOf('Haen oleskelulupakorttia.')).not.toBe(await hashOf('Haen oleskelulupakorttia'))
  })
  it('is strokes of whole numbers, from the first touch on', () => {
    const groups = [{ points: [{ x: 1.26, y: 2, time: 1000, pressure: 0.5 }, { x: 3, y: 4.04, time: 1016.4, pressure: 0 }] }, { points: [{ x: 5, y: 6, time: 1100, pressure: Number.NaN }] }]
    expect(strokesOf(groups, 'h')).toEqual({ v: 1, text_sha256: 'h', strokes: [[{ x: 13, y: 20, t: 0, p: 500 }, { x: 30, y: 40, t: 16, p: 0 }], [{ x: 50, y: 60, t: 100, p: 0 }]] })
    expect(strokesOf([], 'h').strokes).toEqual([])
  })
})
