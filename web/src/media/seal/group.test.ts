import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { newID } from '../../api/ids'
import type * as signed from '../../api/signed'
import type * as words from '../../api/words'
import { fromBase64url, text, toBase64url, utf8, type Bytes } from './encoding'
import { consultationRules, covers, hearingRules, type Group } from './group'
import { Clock, directory, go, groupOf, page, pinned, readerIdentity, salt, signingKey, type Joined, type Vector } from './installation.testing'
import { hash, sign } from './jws'
import { nameIs } from './members'
import { bounds, kidOf, peekMessage, placeOf, typ } from './messages'
import { makeIdentity, SignedWraps } from './wraps'

const audio = (frame: string, capture = 42, level = 30) => [{ source: 'audio' as const, capture, level }, utf8(frame)] as const

interface Seated extends Joined {
  id: words.MemberID
  group: Group
  track: words.TrackID
}

/** A chair and an applicant, sealed to each other in epoch 1. */
async function pair(clock = new Clock()): Promise<{ chair: Seated; applicant: Seated; clock: Clock; roster: string }> {
  const chair = seat(await page('interviewer'), clock)
  const applicant = seat(await page('applicant'), clock)
  for (const a of [chair, applicant]) for (const b of [chair, applicant]) await a.group.addMember(b.statement, b.admission)
  const roster = await chair.group.signRoster([chair.id, applicant.id], 'join', 1)
  await applicant.group.applyRoster(roster)
  await exchange(chair, applicant)
  return { chair, applicant, clock, roster }
}

function seat(joined: Joined, clock: Clock): Seated {
  const track = newID('trk')
  const group = groupOf(joined.identity, clock)
  group.addTrack(track, 'audio', 0)
  return { ...joined, id: joined.identity.member, group, track }
}

async function exchange(...people: Seated[]) {
  for (const from of people) {
    for (const wrap of await from.group.wraps()) {
      const to = people.find((p) => p.id === peekMessage('wrap', wrap).recipient)
      await to?.group.acceptWrap(wrap).catch((why: unknown) => expect(String(why)).toContain('replay'))
    }
  }
}

const say = async (p: Seated, words: string): Promise<Bytes> => (await p.group.seal(p.track, ...audio(words))).sealed
const hear = async (p: Seated, from: Seated, sealed: Bytes) => text((await p.group.open(from.id, from.track, sealed)).frame)

describe('vectors made by Go', () => {
  it('open in the page: statements, admissions, roster, wrap, frames, origin list, heartbeat', async () => {
    const group = groupOf(await readerIdentity(), new Clock())
    for (const m of [go.chair, go.applicant, go.recorder]) {
      const known = await group.addMember(m.statement, m.admission)
      expect(known.id).toBe(m.member)
      expect(known.recorder).toBe(m === go.recorder)
      if (m.name !== undefined) {
        const [seat] = known.admission.seats ?? []
        expect(await nameIs(seat, m.salt ?? '', m.name)).toBe(true)
        expect(await nameIs(seat, m.salt ?? '', 'Somebody Else')).toBe(false)
      }
    }
    await group.applyRoster(go.roster)
    expect(await group.sas()).toBe(go.sas)
    await group.acceptWrap(go.wrap)
    await expect(group.acceptWrap(go.wrap)).rejects.toThrow('replay')
    const list = await group.acceptOrigin(go.origin)
    expect(go.frames.length).toBeGreaterThan(8)
    for (const f of go.frames) {
      const sealed = fromBase64url(f.sealed)
      const opened = await group.open(go.chair.member, go.track, sealed)
      expect(text(opened.frame)).toBe(f.frame)
      expect(opened.header).toEqual({ source: 'audio', capture: f.capture, level: f.level })
      expect(await covers(list, sealed)).toBe(true)
      await expect(group.open(go.chair.member, go.track, sealed)).rejects.toThrow('replay')
    }
    expect((await group.acceptHeartbeat(go.heartbeat)).durable).toBe(1_500_000)
    await expect(group.acceptHeartbeat(go.heartbeat)).rejects.toThrow('replay')
  })

  it('are refused with any one byte of a message changed', async () => {
    const fresh = async () => {
      const group = groupOf(await readerIdentity(), new Clock())
      for (const m of [go.chair, go.applicant, go.recorder]) await group.addMember(m.statement, m.admission)
      return group
    }
    const ready = await fresh()
    await ready.applyRoster(go.roster)
    const bare = await fresh()
    const changed = (message: string) => {
      const step = Math.max(1, Math.floor(message.length / 40))
      return Array.from({ length: 40 }, (_, i) => i * step)
        .filter((at) => at < message.length)
        .map((at) => message.slice(0, at) + (message[at] === 'A' ? 'B' : 'A') + message.slice(at + 1))
    }
    const empty = groupOf(await readerIdentity(), new Clock())
    for (const m of changed(go.chair.statement)) await expect(empty.addMember(m, go.chair.admission)).rejects.toThrow()
    for (const m of changed(go.chair.admission)) await expect(empty.addMember(go.chair.statement, m)).rejects.toThrow()
    for (const m of changed(go.roster)) await expect(bare.applyRoster(m)).rejects.toThrow()
    for (const m of changed(go.wrap)) await expect(ready.acceptWrap(m)).rejects.toThrow()
    for (const m of changed(go.origin)) await expect(ready.acceptOrigin(m)).rejects.toThrow()
    for (const m of changed(go.heartbeat)) await expect(ready.acceptHeartbeat(m)).rejects.toThrow()
    await ready.acceptWrap(go.wrap)
  })
})

describe('vectors made here', () => {
  const file = new URL('interop-web.json', directory)

  it.runIf(process.env.UPDATE === '1')('are written for Go', async () => {
    const chair = seat(await page('interviewer'), new Clock())
    for (const m of [chair, go.applicant]) await chair.group.addMember(m.statement, m.admission)
    const roster = await chair.group.signRoster([go.applicant.member, chair.id], 'join', 7)
    const [wrap] = await chair.group.wraps()
    const frames = []
    for (const [i, frame] of ['Mikä on nimenne?', '', 'ما اسمك؟', '4', '5', '6', '7', '8', '9', '10'].entries()) {
      const { sealed } = await chair.group.seal(chair.track, ...audio(frame, i * 20_000, i))
      frames.push({ capture: i * 20_000, level: i, frame, sealed: toBase64url(sealed) })
    }
    const [origin] = await chair.group.origins()
    const { statement, admission } = chair
    const made = {
      source: 'made by UPDATE=1 npx vitest run src/media/seal, in the installation of interop.json',
      chair: { member: chair.id, statement, admission, salt: toBase64url(salt), name: 'Name of the interviewer' },
      roster, sas: await chair.group.sas(), track: chair.track, wrap, frames, origin,
    }
    writeFileSync(file, `${JSON.stringify(made, null, 2)}\n`)
  })

  it('open here as they do in Go', async () => {
    const made = JSON.parse(readFileSync(file, 'utf8')) as Vector
    const group = groupOf(await readerIdentity(), new Clock())
    for (const m of [made.chair, go.applicant]) await group.addMember(m.statement, m.admission)
    await group.applyRoster(made.roster)
    await group.acceptWrap(made.wrap)
    for (const f of made.frames) {
      expect(text((await group.open(made.chair.member, made.track, fromBase64url(f.sealed))).frame)).toBe(f.frame)
    }
  })
})

describe('who is let in', () => {
  it('is nobody whom door alone wants: a ghost', async () => {
    const { chair, applicant } = await pair()
    const ghost = await page('interpreter')
    await expect(applicant.group.addMember(ghost.statement, applicant.admission)).rejects.toThrow('admission')
    const own = await makeIdentity(newID('mem'))
    const forged = await sign(peekMessage('admission', ghost.admission), typ.admission, own.sign.privateKey)
    await expect(applicant.group.addMember(ghost.statement, forged)).rejects.toThrow('admission')
    // Not even the chair's own roster brings in one whom this page was not shown.
    await chair.group.addMember(ghost.statement, ghost.admission)
    const roster = await chair.group.signRoster([chair.id, applicant.id, ghost.identity.member], 'join', 2)
    await expect(applicant.group.applyRoster(roster)).rejects.toThrow('unknown-member')
  })

  const statements: [string, Partial<signed.Statement>, string][] = [
    ['another device than the certificate’s', { device: newID('dev') }, 'statement'],
    ['a page’s device as a recorder', { kind: 'recorder', device: '' as words.DeviceID, seats: [] }, 'statement'],
    ['no seat', { seats: [] }, 'statement'],
    ['no fingerprint', { dtls: '' }, 'statement'],
    ['a key that is no point', { hpke_key: `BA${'A'.repeat(85)}` }, 'statement'],
    ['a life too long', { exp: go.now + 13 * 3600 }, 'statement'],
    ['an end that has passed', { iat: go.now - 7200, exp: go.now }, 'expired'],
    ['a beginning to come', { iat: go.now + 120 }, 'expired'],
    ['another hearing', { hearing: newID('hrg') }, 'member'],
    ['another version', { v: 2 }, 'statement'],
  ]
  it.each(statements)('is no statement with %s', async (_, statement, why) => {
    const { applicant } = await pair()
    const bad = await page('counsel', { statement, admission: statement.hearing === undefined ? {} : { hearing: statement.hearing } })
    await expect(applicant.group.addMember(bad.statement, bad.admission)).rejects.toThrow(why)
  })

  const admissions: [string, Partial<signed.Admission>, string][] = [
    ['another statement', { statement: 'x' }, 'admission'],
    ['another member', { member: newID('mem') }, 'admission'],
    ['another kind', { kind: 'recorder' }, 'admission'],
    ['another hearing', { hearing: newID('hrg') }, 'admission'],
    ['no rule', { rule: '' }, 'admission'],
    ['no seat', { seats: [] }, 'admission'],
    ['a seat not stated', { seats: [{ seat: newID('set'), participant: newID('par'), role: 'counsel', name: '' }] }, 'admission'],
    ['an end that has passed', { iat: go.now - 10, exp: go.now }, 'expired'],
  ]
  it.each(admissions)('is no admission of %s', async (_, admission, why) => {
    const { applicant } = await pair()
    const bad = await page('counsel', { admission })
    await expect(applicant.group.addMember(bad.statement, bad.admission)).rejects.toThrow(why)
  })

  it('is admitted by any version of authority’s key that is pinned, and by no other', async () => {
    const stranger = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign'])
    const statement_key = toBase64url(new Uint8Array(await crypto.subtle.exportKey('spki', stranger.publicKey)))
    const rotated = groupOf(await makeIdentity(newID('mem')), new Clock(), hearingRules, { ...pinned, statement_key, also_statement_keys: [pinned.statement_key] })
    await rotated.addMember(go.chair.statement, go.chair.admission)
    const other = groupOf(await makeIdentity(newID('mem')), new Clock(), hearingRules, { ...pinned, statement_key })
    await expect(other.addMember(go.chair.statement, go.chair.admission)).rejects.toThrow('admission')
  })

  it('is no device under another root, nor one whose certificate is over', async () => {
    const clock = new Clock()
    const swapped = { ...pinned, device_roots: pinned.recorder_roots, recorder_roots: pinned.device_roots }
    const other = groupOf(await makeIdentity(newID('mem')), clock, hearingRules, swapped)
    await expect(other.addMember(go.chair.statement, go.chair.admission)).rejects.toThrow('statement')
    clock.at += 24 * 3600 * 1000
    const late = groupOf(await makeIdentity(newID('mem')), clock)
    const again = await page('counsel', { statement: { iat: go.now + 24 * 3600, exp: go.now + 25 * 3600 }, admission: { iat: go.now + 24 * 3600, exp: go.now + 25 * 3600 } })
    await expect(late.addMember(again.statement, again.admission)).rejects.toThrow('statement')
  })

  it('is no device that says it records, even where one root signs both', async () => {
    const one = { ...pinned, recorder_roots: pinned.device_roots }
    const group = groupOf(await makeIdentity(newID('mem')), new Clock(), hearingRules, one)
    const recorder = { kind: 'recorder', device: '' as words.DeviceID, seats: [] }
    const bad = await page('counsel', { statement: recorder, admission: { kind: 'recorder', seats: [] } })
    await expect(group.addMember(bad.statement, bad.admission)).rejects.toThrow('statement')
  })

  it('is in a consultation neither the interviewer nor a recorder', async () => {
    const group = groupOf(await makeIdentity(newID('mem')), new Clock(), consultationRules)
    for (const m of [go.chair, go.recorder]) await expect(group.addMember(m.statement, m.admission)).rejects.toThrow('member')
    await group.addMember(go.applicant.statement, go.applicant.admission)
  })
})

describe('a roster', () => {
  const forgeries: [string, (r: signed.Roster, chair: Seated, applicant: Seated) => Promise<string>, string][] = [
    ['of the server', async (r) => sign(r, typ.roster, (await makeIdentity(newID('mem'))).sign.privateKey), 'roster'],
    ['of one who does not chair', (r, _, a) => sign({ ...r, chair: a.id }, typ.roster, a.identity.sign.privateKey), 'chair'],
    ['in the chair’s name', (r, _, a) => sign(r, typ.roster, a.identity.sign.privateKey), 'roster'],
    ['of the same epoch', (r, c) => sign({ ...r, epoch: 1 }, typ.roster, c.identity.sign.privateKey), 'stale'],
    ['with another past', async (r, c) => sign({ ...r, prev: await hash('x') }, typ.roster, c.identity.sign.privateKey), 'fork'],
    ['of another group', (r, c) => sign({ ...r, group: newID('grp') }, typ.roster, c.identity.sign.privateKey), 'roster'],
    ['with a member twice', (r, c) => sign({ ...r, members: [...(r.members ?? []), ...(r.members ?? [])] }, typ.roster, c.identity.sign.privateKey), 'roster'],
    ['without the chair', (r, c) => sign({ ...r, members: (r.members ?? []).slice(1) }, typ.roster, c.identity.sign.privateKey), 'chair'],
    ['with another admission', (r, c) => sign({ ...r, members: (r.members ?? []).map((m) => ({ ...m, admission: 'x' })) }, typ.roster, c.identity.sign.privateKey), 'roster'],
    ['that is really a wrap', (r, c) => sign(r, typ.wrap, c.identity.sign.privateKey), 'roster'],
  ]
  it.each(forgeries)('%s is refused', async (_, forge, why) => {
    const { chair, applicant, roster } = await pair()
    const before = peekMessage('roster', roster)
    const next = { ...before, epoch: 2, prev: await hash(roster), reason: 'leave' }
    await expect(applicant.group.applyRoster(await forge(next, chair, applicant))).rejects.toThrow(new RegExp(`^${why}:`))
    expect(applicant.group.roster()?.text).toBe(roster)
    await applicant.group.applyRoster(await sign(next, typ.roster, chair.identity.sign.privateKey))
  })

  it('that is signed, but not in its one form, is refused', async () => {
    const { chair, applicant, roster } = await pair()
    const next = { ...peekMessage('roster', roster), epoch: 2, prev: await hash(roster) }
    const good = await sign(next, typ.roster, chair.identity.sign.privateKey)
    const [header, payload] = good.split('.')
    for (const change of [(t: string) => t.replace(',', ', '), (t: string) => t.replace('"v":1', '"v":1.0'), (t: string) => t.replace('{', '{"v":1,'), (t: string) => t.replace('{', '{"x":1,')]) {
      const input = `${header}.${toBase64url(utf8(change(text(fromBase64url(payload)))))}`
      const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, chair.identity.sign.privateKey, utf8(input))
      await expect(applicant.group.applyRoster(`${input}.${toBase64url(new Uint8Array(signature))}`)).rejects.toThrow('roster')
    }
    await applicant.group.applyRoster(good)
  })

  it('is signed by the chair alone', async () => {
    const { chair, applicant } = await pair()
    await expect(applicant.group.signRoster([chair.id, applicant.id], 'leave', 1)).rejects.toThrow('chair')
  })
})

describe('a wrap', () => {
  type Facts = signed.Wrap
  const changes: [string, (w: Facts) => Partial<Facts>, string][] = [
    ['with a second key', () => ({}), 'second-key'],
    ['for another member’s key id', () => ({ kid: kidOf(1, 1, 0) }), 'wrap'],
    ['of another epoch', () => ({ epoch: 2, kid: kidOf(2, 0, 0) }), 'epoch'],
    ['of another roster', () => ({ roster: 'x' }), 'epoch'],
    ['of another group', () => ({ group: newID('grp') }), 'wrap'],
    ['of another track under its number', () => ({ track: newID('trk') }), 'track'],
    ['of its track under another number', (w) => ({ kid: w.kid + 1 }), 'track'],
    ['of another source', () => ({ source: 'video' }), 'track'],
  ]
  it.each(changes)('%s is refused', async (_, change, why) => {
    const { chair, applicant } = await pair()
    const w = peekMessage('wrap', (await chair.group.wraps())[0])
    const to = applicant.group.member(applicant.id)
    if (to === undefined) throw new Error('the applicant is not known')
    const forged = await new SignedWraps(chair.identity).give({ ...w, ...change(w) }, crypto.getRandomValues(new Uint8Array(32)), to)
    await expect(applicant.group.acceptWrap(forged)).rejects.toThrow(new RegExp(`^${why}:`))
    expect(await hear(applicant, chair, await say(chair, 'still'))).toBe('still')
  })

  it('whose values were changed and signed again, or signed by the server, is refused', async () => {
    const { chair, applicant } = await pair()
    const w = peekMessage('wrap', (await chair.group.wraps())[0])
    const swapped = await sign({ ...w, kid: w.kid + 1 }, typ.wrap, chair.identity.sign.privateKey)
    await expect(applicant.group.acceptWrap(swapped)).rejects.toThrow(/^wrap:/)
    // All is as it should be, but for whose signature it is.
    const server = { ...(await makeIdentity(newID('mem'))), member: chair.id }
    const to = applicant.group.member(applicant.id)
    if (to === undefined) throw new Error('the applicant is not known')
    const forged = await new SignedWraps(server).give({ ...w, track: newID('trk'), kid: w.kid + 1 }, new Uint8Array(32), to)
    await expect(applicant.group.acceptWrap(forged)).rejects.toThrow(/^wrap: signature/)
    await expect(applicant.group.acceptWrap(await sign({ ...w, sender: applicant.id }, typ.wrap, applicant.identity.sign.privateKey))).rejects.toThrow('member')
  })
})

describe('frames', () => {
  it('bring no copy of what was said before their key', async () => {
    const { chair, applicant, clock } = await pair()
    // RFC 2198: a block of 960 ticks before with six bytes, and the own.
    const packed = new Uint8Array([0xef, 0x0f, 0x00, 0x06, 0x6f, ...utf8('before'), ...utf8('now')])
    const header = { source: 'audio' as const, capture: 1, level: 30, redundant: true }
    const said = async () => (await applicant.group.open(chair.id, chair.track, (await chair.group.seal(chair.track, header, packed)).sealed)).frame
    expect([...(await said())]).toEqual([0x6f, ...utf8('now')])
    expect([...(await said())]).toEqual([...packed])
    const again = await chair.group.signRoster([chair.id], 'leave', 2)
    await applicant.group.applyRoster(again)
    await exchange(chair)
    const back = await chair.group.signRoster([chair.id, applicant.id], 'join', 3)
    await applicant.group.applyRoster(back)
    await exchange(chair, applicant)
    clock.at += 1000 // sound goes on under the key before for a moment
    await expect(chair.group.seal(chair.track, header, packed.subarray(0, 9))).rejects.toThrow('frame')
    expect([...(await said())]).toEqual([0x6f, ...utf8('now')])
  })

  it('count once, and only where they belong', async () => {
    const { chair, applicant } = await pair()
    const sealed = await say(chair, 'words')
    await expect(applicant.group.open(chair.id, newID('trk'), sealed)).rejects.toThrow('track')
    await expect(applicant.group.open(applicant.id, chair.track, sealed)).rejects.toThrow('track')
    expect(await hear(applicant, chair, sealed)).toBe('words')
    await expect(hear(applicant, chair, sealed)).rejects.toThrow('replay')
    await expect(chair.group.seal(chair.track, { source: 'video', capture: 0, level: 255 }, utf8(''))).rejects.toThrow('track')
  })

  it('are closed at once to who left, and open a while for those who stay', async () => {
    const { chair, applicant, clock } = await pair()
    const inFlight = await say(chair, 'in flight')
    const alone = await chair.group.signRoster([chair.id], 'leave', 2)
    await expect(say(chair, 'x')).rejects.toThrow('no-key')
    await chair.group.wraps()
    const without = await say(chair, 'without')
    await applicant.group.applyRoster(alone)
    expect(await hear(applicant, chair, inFlight)).toBe('in flight')
    await expect(hear(applicant, chair, without)).rejects.toThrow('no-key')
    await expect(say(applicant, 'x')).rejects.toThrow('no-key')
    const again = await chair.group.signRoster([chair.id, applicant.id], 'resume', 3)
    await applicant.group.applyRoster(again)
    const old = await say(chair, 'while wraps travel')
    await exchange(chair, applicant)
    clock.at += bounds.grace
    expect(await hear(applicant, chair, await say(chair, 'back'))).toBe('back')
    await expect(hear(applicant, chair, old)).rejects.toThrow('no-key')
    const last = await say(chair, 'last')
    await applicant.group.applyRoster(await chair.group.signRoster([chair.id, applicant.id], 'pause', 4))
    clock.at += bounds.linger + 1
    await expect(hear(applicant, chair, last)).rejects.toThrow('no-key')
  })

  it('of a reloaded page are under new keys, and the old page is out', async () => {
    const { chair, applicant, clock } = await pair()
    const before = await say(applicant, 'same words')
    const again = { ...seat(await page('applicant'), clock), track: newID('trk') }
    again.group.addTrack(again.track, 'audio', 1)
    for (const p of [chair, again]) for (const q of [chair, again]) await p.group.addMember(q.statement, q.admission)
    await again.group.applyRoster(await chair.group.signRoster([chair.id, again.id], 'join', 2))
    await exchange(chair, again)
    const after = await say(again, 'same words')
    expect(after.subarray(4)).not.toEqual(before.subarray(4))
    expect(await hear(chair, again, after)).toBe('same words')
    await expect(hear(chair, applicant, await say(applicant, 'ghost'))).rejects.toThrow('no-key')
  })

  it('are listed by who sealed them', async () => {
    const { chair, applicant } = await pair()
    const sealed = await say(chair, 'one')
    const [list] = await chair.group.origins()
    const o = await applicant.group.acceptOrigin(list)
    expect(await covers(o, sealed)).toBe(true)
    expect(await covers(o, await say(chair, 'two'))).toBe(false)
    await expect(applicant.group.acceptOrigin(list)).rejects.toThrow('replay')
    const [next] = await chair.group.origins()
    const forged = await sign({ ...peekMessage('origin', next), kid: kidOf(1, 1, 0) }, typ.origin, chair.identity.sign.privateKey)
    await expect(applicant.group.acceptOrigin(forged)).rejects.toThrow('origin')
    await applicant.group.acceptOrigin(next)
    expect(await chair.group.origins()).toEqual([])
  })
})

it('a heartbeat of a page, or forged, is refused', async () => {
  const { chair, applicant } = await pair()
  await applicant.group.addMember(go.recorder.statement, go.recorder.admission)
  const h = peekMessage('heartbeat', go.heartbeat)
  await expect(applicant.group.acceptHeartbeat(await sign({ ...h, member: chair.id }, typ.heartbeat, chair.identity.sign.privateKey))).rejects.toThrow('heartbeat')
  await expect(applicant.group.acceptHeartbeat(await sign(h, typ.heartbeat, await signingKey(go.authority)))).rejects.toThrow('heartbeat')
  expect((await applicant.group.acceptHeartbeat(go.heartbeat)).state).toBe('recording')
})

it('a key id is of one member and track', () => {
  for (const epoch of [1, 2, bounds.epoch]) {
    for (const [place, number] of [[0, 0], [63, 15], [1, 4]]) {
      const kid = kidOf(epoch, place, number)
      expect(Number.isSafeInteger(kid)).toBe(true)
      expect(placeOf(kid)).toEqual({ epoch, place, number })
    }
  }
})

it('private keys cannot be exported', async () => {
  const { hpke, sign: signing } = await makeIdentity(newID('mem'))
  expect(hpke.privateKey.extractable || signing.privateKey.extractable).toBe(false)
})
