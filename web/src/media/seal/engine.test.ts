import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { newID } from '../../api/ids'
import type * as words from '../../api/words'
import { SealClient, type Answer, type Port, type Request } from './client'
import { text, toBase64url, utf8, type Bytes } from './encoding'
import { Engine, type EncodedFrame } from './engine'
import { go, pinned, salt, admitted } from './installation.testing'
import { bounds, peekMessage } from './messages'

/** A page: its engine behind the same numbered calls that a worker answers. */
async function open(role: words.Role) {
  const engine = new Engine()
  const port: Port = {
    onmessage: null,
    onerror: null,
    terminate: () => undefined,
    postMessage: ({ id, call, args }: Request) => {
      const act = engine.calls[call] as (...args: unknown[]) => Promise<unknown>
      const reply = (data: Answer) => port.onmessage?.({ data } as MessageEvent<Answer>)
      act(...structuredClone(args)).then((value) => reply({ id, value: structuredClone(value) }), (why: unknown) => reply({ id, refused: String(why) }))
    },
  }
  const member = newID('mem')
  const sealing = await SealClient.start(port, { hearing: go.hearing, member, pinned })
  return { engine, sealing, member, track: newID('trk'), ...(await admitted(member, sealing.keys, role)) }
}

const frame = (bytes: Bytes): EncodedFrame => ({ data: bytes.slice().buffer })

type Pass = ReturnType<Engine['transform']>
async function through(pass: Pass, words: EncodedFrame): Promise<EncodedFrame[]> {
  const out: EncodedFrame[] = []
  await pass(words, (f) => out.push(f))
  return out
}

async function room() {
  const [chair, applicant] = [await open('interviewer'), await open('applicant')]
  const asked: string[] = []
  const mouth = chair.engine.transform({ side: 'seal', track: chair.track, source: 'video', number: 0 }, () => asked.push('key frame'))
  const ear = applicant.engine.transform({ side: 'open', slot: 3, picture: true }, () => asked.push('key frame please'))
  return { chair, applicant, mouth, ear, asked }
}

type Room = Awaited<ReturnType<typeof room>>
async function enter({ chair, applicant }: Room) {
  const pages = [chair, applicant]
  for (const p of pages) {
    await p.sealing.begin(go.group)
    for (const q of pages) {
      const known = await p.sealing.addMember(q.statement, q.admission)
      expect(known.member).toBe(q.member)
      expect(await known.nameIs(q.seat, toBase64url(salt), `Name of the ${q.role}`)).toBe(true)
      expect(await known.nameIs(q.seat, toBase64url(salt), 'Somebody Else')).toBe(false)
    }
  }
  const { roster, inForce } = await chair.sealing.signRoster([chair.member, applicant.member], 'join', 12.5)
  expect(await applicant.sealing.applyRoster(roster)).toEqual(inForce)
  expect(inForce).toMatchObject({ epoch: 1, chair: chair.member, members: [chair.member, applicant.member] })
  expect(inForce.sas).toMatch(/^\d{6}$/)
  for (const wrap of await chair.sealing.wraps()) await applicant.sealing.acceptWrap(wrap)
  applicant.sealing.assign(3, { member: chair.member, track: chair.track })
}

// The vectors' certificates are of a fixed day: these tests stand on it.
describe('the sealing worker', () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ['Date'], now: go.now * 1000 }))
  afterEach(() => vi.useRealTimers())

  it('passes nothing before there is a key, and nothing in clear after', async () => {
    const r = await room()
    expect(await through(r.mouth, frame(utf8('secret')))).toEqual([])
    expect(await through(r.ear, frame(utf8('noise')))).toEqual([])
    await enter(r)
    const [sealed] = await through(r.mouth, frame(utf8('secret')))
    expect(Buffer.from(sealed.data).includes('secret')).toBe(false)
    expect(r.asked).toEqual(['key frame'])
    const copy = frame(new Uint8Array(sealed.data))
    const [opened] = await through(r.ear, sealed)
    expect(text(new Uint8Array(opened.data))).toBe('secret')
    expect(await through(r.ear, copy)).toEqual([])
    expect(await r.chair.sealing.counts()).toMatchObject({ sealed: 1, held: 1 })
    expect(await r.applicant.sealing.counts()).toMatchObject({ opened: 1, refused: 2 })
  })

  it('holds a picture until its key comes, and no longer than that', async () => {
    const r = await room()
    for (const p of [r.chair, r.applicant]) {
      await p.sealing.begin(go.group)
      for (const q of [r.chair, r.applicant]) await p.sealing.addMember(q.statement, q.admission)
    }
    const { roster } = await r.chair.sealing.signRoster([r.chair.member, r.applicant.member], 'join', 1)
    await r.applicant.sealing.applyRoster(roster)
    r.applicant.sealing.assign(3, { member: r.chair.member, track: r.chair.track })
    const wraps = await r.chair.sealing.wraps()
    const [sealed] = await through(r.mouth, frame(utf8('a key frame')))
    const copy = frame(new Uint8Array(sealed.data))
    // The media was faster than the door.
    const shown = through(r.ear, sealed)
    for (const wrap of wraps) await r.applicant.sealing.acceptWrap(wrap)
    expect((await shown).map((f) => text(new Uint8Array(f.data)))).toEqual(['a key frame'])
    expect(await through(r.ear, copy)).toEqual([])
    // Who is left without a key waits once, not with every frame.
    const without = await room()
    await enter(without)
    const next = await without.chair.sealing.signRoster([without.chair.member, without.applicant.member], 'pause', 2)
    await without.applicant.sealing.applyRoster(next.roster)
    await without.chair.sealing.wraps()
    vi.setSystemTime(go.now * 1000 + bounds.grace + 1)
    const lost = [await through(without.mouth, frame(utf8('one'))), await through(without.mouth, frame(utf8('two')))].flat()
    expect(lost).toHaveLength(2)
    expect(await through(without.ear, lost[0])).toEqual([])
    const waits = vi.spyOn(globalThis, 'setTimeout')
    expect(await through(without.ear, lost[1])).toEqual([])
    expect(waits).not.toHaveBeenCalled()
  })

  it('opens on a slot only what was assigned to it', async () => {
    const r = await room()
    await enter(r)
    const [sealed] = await through(r.mouth, frame(utf8('one')))
    for (const from of [null, { member: r.applicant.member, track: r.chair.track }, { member: r.chair.member, track: newID('trk') }]) {
      r.applicant.sealing.assign(3, from)
      expect(await through(r.ear, frame(new Uint8Array(sealed.data)))).toEqual([])
    }
  })

  it('writes capture time and level inside the seal, and lists what it sealed', async () => {
    const r = await room()
    await enter(r)
    r.chair.sealing.setClock(-performance.timeOrigin * 1000)
    await through(r.mouth, frame(utf8('one')))
    const [list] = await r.chair.sealing.origins()
    expect(peekMessage('origin', list)).toMatchObject({ member: r.chair.member, track: r.chair.track, seq: 0, first: 0 })
    expect(await r.chair.sealing.origins()).toEqual([])
  })

  it('refuses with the reason, and ends with the page', async () => {
    const r = await room()
    await enter(r)
    await expect(r.applicant.sealing.signRoster([r.applicant.member], 'leave', 1)).rejects.toThrow('chair')
    await expect(r.applicant.sealing.acceptWrap('x.y.z')).rejects.toThrow('wrap')
    r.applicant.sealing.close()
    await expect(r.applicant.sealing.wraps()).rejects.toThrow('ended')
  })
})
