import type * as signed from '../../api/signed'
import type * as words from '../../api/words'
import type { Backup } from './backup'
import { concat, equal, fromBase64url, sha256, toBase64url, utf8, type Bytes } from './encoding'
import { refusing, SealError } from './errors'
import { encodeFrame, parseFrame, withoutCopies, type FrameHeader } from './frames'
import { hash, sign } from './jws'
import { hasRole, repeats, verifyMember, within, type Member, type Pinned } from './members'
import { bounds, isID, kidOf, peekMessage, placeOf, sources, typ, verifyMessage } from './messages'
import { Opener, parseHeader, Sealer } from './sframe'
import { SignedWraps, type Identity, type KeyAgreement } from './wraps'

/** Who may chair a group, who may be in it, and whether its members sign origin lists. */
export interface Rules {
  chair(member: Member): boolean
  member(member: Member): boolean
  origins: boolean
}

/** The interviewer's page chairs, everyone admitted may be in it, and frames are evidence. */
export const hearingRules: Rules = {
  chair: (m) => hasRole(m, 'interviewer'),
  member: () => true,
  origins: true,
}

/** Counsel's page chairs, or the representative's; neither interviewer nor recorder is in it. */
export const consultationRules: Rules = {
  chair: (m) => consultationRules.member(m) && (hasRole(m, 'counsel') || hasRole(m, 'representative')),
  member: (m) => !m.recorder && !hasRole(m, 'interviewer'),
  origins: false,
}

export interface GroupSetup {
  pinned: Pinned
  self: Identity
  hearing: words.HearingID
  group: words.GroupID
  rules: Rules
  keys?: KeyAgreement
  /** Of a room terminal: gathers its sound for the agent's own back-up. */
  backup?: Backup
  /** Milliseconds since 1970; for tests. */
  now?: () => number
}

export type RosterReason = 'join' | 'leave' | 'pause' | 'resume' | 'chair' | 'revoked'
const reasons: readonly string[] = ['join', 'leave', 'pause', 'resume', 'chair', 'revoked']
const recorderStates: readonly string[] = ['starting', 'recording', 'behind', 'failed', 'stopped']

interface InForce {
  roster: signed.Roster
  members: signed.RosterMember[]
  text: string
  hash: string
}

interface Receiving {
  member: words.MemberID
  track: words.TrackID
  source: words.Source
  metadata: Bytes
  opener: Opener
  digest: Bytes
  until: number // Infinity while the epoch is in force
}

interface SendKey {
  epoch: number
  kid: number
  sealer: Sealer
  wraps: string[]
}

interface Run {
  kid: number
  first: bigint
  hashes: Bytes[]
}

interface Sending {
  track: words.TrackID
  source: words.Source
  number: number
  metadata: Bytes
  cur: SendKey | null
  next: SendKey | null
  from: number
  used: number | null // key of the newest frame
  runs: Run[]
  seq: number
  prev: string
}

interface TrackFacts {
  member: words.MemberID
  track: words.TrackID
  source: words.Source
  number: number
}

/**
 * The state of this page instance in a group: who is known, which roster is in
 * force, its own keys and those of others; the twin of sealing.Group in Go.
 * It is never stored: after a reload the page is another member.
 */
export class Group {
  private readonly setup: GroupSetup
  private readonly keyAgreement: KeyAgreement
  private readonly now: () => number
  private readonly known = new Map<words.MemberID, Member>()
  private inForce: InForce | null = null
  private readonly places = new Map<number, words.MemberID[]>()
  private readonly keys = new Map<number, Receiving>()
  private readonly tracks: TrackFacts[] = []
  private readonly own = new Map<words.TrackID, Sending>()
  private readonly lists = new Map<string, { seq: number; hash: string }>()
  private readonly beats = new Map<words.MemberID, number>()
  private readonly recorders = new Map<words.MemberID, string>() // their admissions, as they were signed
  private queue: Promise<unknown> = Promise.resolve()

  constructor(setup: GroupSetup) {
    this.setup = setup
    this.keyAgreement = setup.keys ?? new SignedWraps(setup.self)
    this.now = setup.now ?? Date.now
  }

  /**
   * What changes the group runs one after the other: between a check and the
   * change that it allows, nothing else happens.
   */
  private inTurn<T>(act: () => Promise<T>): Promise<T> {
    const done = this.queue.then(act)
    this.queue = done.catch(() => undefined)
    return done
  }

  /** Verifies a member (oneself included) and makes it known; that puts it on no roster. */
  async addMember(statement: string, admission: string): Promise<Member> {
    const again = await this.asKnown(statement, admission)
    if (again !== undefined) return again
    // Checking changes nothing and takes long: several are checked side by side.
    const m = await verifyMember(this.setup.pinned, statement, admission, new Date(this.now()))
    return this.inTurn(() => {
      const { self, hearing, rules } = this.setup
      if (m.statement.hearing !== hearing || !rules.member(m)) throw new SealError('member', `${m.id} is not of this group`)
      if (m.id === self.member && (m.statement.hpke_key !== self.keys.hpke || m.statement.sign_key !== self.keys.sign)) {
        throw new SealError('statement', 'of this member with other keys')
      }
      const old = this.known.get(m.id)
      if (old !== undefined) {
        if (old.statementHash === m.statementHash && old.admissionHash === m.admissionHash) return Promise.resolve(old)
        throw new SealError('member', `${m.id} is known with another statement or admission`)
      }
      if (this.known.size >= bounds.known) throw new SealError('member', 'too many members are known')
      this.known.set(m.id, m)
      if (m.recorder) this.recorders.set(m.id, admission)
      if (m.id === self.member && this.setup.backup !== undefined) this.setup.backup.statement = statement
      return Promise.resolve(m)
    })
  }

  /** The member that was verified by these very words, as long as they hold. */
  private async asKnown(statement: string, admission: string): Promise<Member | undefined> {
    const [statementHash, admissionHash] = await Promise.all([hash(statement), hash(admission)])
    const old = [...this.known.values()].find((m) => m.statementHash === statementHash && m.admissionHash === admissionHash)
    if (old === undefined) return undefined
    const now = new Date(this.now())
    within(old.statement, now)
    within(old.admission, now)
    return old
  }

  /** Drops a member that is not on the roster. What it said stays known, so that nothing can be replayed should it return. */
  forget(id: words.MemberID): Promise<void> {
    return this.inTurn(() => {
      if (this.place(id) < 0) this.known.delete(id)
      return Promise.resolve()
    })
  }

  member(id: words.MemberID): Member | undefined {
    return this.known.get(id)
  }

  /** The roster in force and its text, or null before the first. */
  roster(): { roster: signed.Roster; text: string } | null {
    return this.inForce === null ? null : { roster: this.inForce.roster, text: this.inForce.text }
  }

  /** Short authentication string of the roster in force: six digits, or "" before the first. */
  async sas(): Promise<string> {
    return this.inForce === null ? '' : shortString(this.inForce.text)
  }

  /** Makes, signs and applies the next roster, members in the order given. */
  signRoster(members: words.MemberID[], reason: RosterReason, at: words.Micros): Promise<string> {
    return this.inTurn(async () => {
      const { self, hearing, group } = this.setup
      const listed = members.map((id) => {
        const m = this.known.get(id)
        if (m === undefined) throw new SealError('unknown-member', id)
        return { member: id, admission: m.admissionHash }
      })
      const epoch = (this.inForce?.roster.epoch ?? 0) + 1
      const roster: signed.Roster = { v: 1, hearing, group, epoch, chair: self.member, members: listed, prev: this.inForce?.hash ?? '', reason, at }
      this.checkRoster(roster)
      const text = await sign(roster, typ.roster, self.sign.privateKey)
      this.enforce(roster, text, await hash(text))
      return text
    })
  }

  /**
   * Verifies a roster and puts it in force. The first one seen is taken; each
   * later one must follow the one in force. While this page is not on it, it
   * need not know the others that are.
   */
  applyRoster(message: string): Promise<signed.Roster> {
    return this.inTurn(() =>
      refusing('roster', async () => {
        if (this.inForce?.text === message) return this.inForce.roster
        // Only the chair is used of what is not verified yet, to find its key.
        const chair = this.known.get(peekMessage('roster', message).chair)
        if (chair === undefined) throw new SealError('unknown-member', 'chair of the roster')
        const roster = await verifyMessage('roster', message, chair.signKey)
        this.checkRoster(roster)
        this.enforce(roster, message, await hash(message))
        return roster
      }),
    )
  }

  private checkRoster(r: signed.Roster) {
    const { self, hearing, group, rules } = this.setup
    const members = r.members ?? []
    if (r.v !== 1 || r.hearing !== hearing || r.group !== group) throw new SealError('roster', 'of another version, hearing or group')
    if (r.epoch < 1 || r.epoch > bounds.epoch || r.at < 0 || !reasons.includes(r.reason)) throw new SealError('roster', 'a value is out of bounds')
    if (members.length === 0 || members.length > bounds.members || repeats(members.map((m) => m.member))) {
      throw new SealError('roster', 'members repeat, or are none or too many')
    }
    if (this.inForce !== null) {
      if (r.epoch <= this.inForce.roster.epoch) throw new SealError('stale', 'roster is older than the one in force')
      if (r.prev !== this.inForce.hash) throw new SealError('fork', 'roster does not follow the one in force')
    }
    const chair = this.known.get(r.chair)
    if (chair === undefined) throw new SealError('unknown-member', 'chair of the roster')
    if (chair.recorder || !rules.chair(chair) || !members.some((m) => m.member === r.chair)) throw new SealError('chair', `${r.chair} does not chair`)
    const onIt = members.some((m) => m.member === self.member)
    const now = new Date(this.now())
    for (const listed of members) {
      const m = this.known.get(listed.member)
      if (m === undefined) {
        if (!onIt) continue
        throw new SealError('unknown-member', `${listed.member} on the roster`)
      }
      if (m.admissionHash !== listed.admission) throw new SealError('roster', `${listed.member} is listed with another admission`)
      within(m.statement, now)
      within(m.admission, now)
    }
  }

  /** Puts a roster in force: keys of those who stayed linger, everything older is dropped. */
  private enforce(roster: signed.Roster, text: string, name: string) {
    const before = this.inForce
    const members = roster.members ?? []
    this.inForce = { roster, members, text, hash: name }
    this.places.set(roster.epoch, members.map((m) => m.member))
    if (this.places.size > bounds.keptRosters) this.places.delete(Math.min(...this.places.keys()))
    for (const [kid, k] of this.keys) {
      if (k.until !== Infinity || this.place(k.member) < 0) this.keys.delete(kid)
      else k.until = this.now() + bounds.linger
    }
    const left = this.place(this.setup.self.member) < 0 || (before?.members ?? []).some((m) => this.place(m.member) < 0)
    for (const s of this.own.values()) {
      if (s.next !== null) [s.cur, s.next] = [s.next, null]
      if (left) s.cur = null
    }
  }

  private place(id: words.MemberID): number {
    return this.inForce?.members.findIndex((m) => m.member === id) ?? -1
  }

  /** Declares one of this page's own tracks; a number belongs to one track for the page's life. */
  addTrack(track: words.TrackID, source: words.Source, number: number) {
    if (!isID('trk', track) || !sources.includes(source) || !Number.isInteger(number) || number < 0 || number >= bounds.tracks) {
      throw new SealError('track', 'track, source or number is out of bounds')
    }
    const old = this.own.get(track)
    if (old !== undefined ? old.source !== source || old.number !== number : [...this.own.values()].some((s) => s.number === number)) {
      throw new SealError('track', `${track} or number ${number} is declared otherwise`)
    }
    if (old !== undefined) return
    this.own.set(track, { track, source, number, metadata: utf8(track), cur: null, next: null, from: 0, used: null, runs: [], seq: 0, prev: '' })
  }

  /** Makes own keys of every declared track for the epoch in force, and one wrap per other member and track. */
  wraps(): Promise<string[]> {
    return this.inTurn(async () => {
      const { self, hearing, group } = this.setup
      const inForce = this.inForce
      const place = this.place(self.member)
      if (inForce === null || place < 0) throw new SealError('not-on-roster', 'this member')
      if (this.known.get(self.member)?.recorder !== false) throw new SealError('member', 'a recorder publishes nothing')
      const all: string[] = []
      for (const s of this.own.values()) {
        const newest = s.next ?? s.cur
        if (newest?.epoch === inForce.roster.epoch) {
          all.push(...newest.wraps)
          continue
        }
        const key = crypto.getRandomValues(new Uint8Array(32))
        const kid = kidOf(inForce.roster.epoch, place, s.number)
        const facts = {
          v: 1, hearing, group, epoch: inForce.roster.epoch, sender: self.member, track: s.track, source: s.source, kid, roster: inForce.hash,
        }
        try {
          const wraps: string[] = []
          for (const { member } of inForce.members) {
            const to = this.known.get(member)
            if (member === self.member || to === undefined) continue
            wraps.push(await this.keyAgreement.give({ ...facts, recipient: member }, key, to))
          }
          const recorder = inForce.members.map((m) => this.recorders.get(m.member)).find((a) => a !== undefined)
          if (recorder !== undefined && s.source !== 'screen') {
            await this.setup.backup?.key(inForce.roster.epoch, inForce.text, recorder, { track: s.track, source: s.source, kid }, key)
          }
          const fresh: SendKey = { epoch: inForce.roster.epoch, kid, sealer: await Sealer.make(key, kid), wraps }
          if (s.cur === null) s.cur = fresh
          else [s.next, s.from] = [fresh, this.now() + (s.source === 'audio' ? bounds.grace : bounds.pictureGrace)]
          all.push(...wraps)
        } finally {
          key.fill(0)
        }
      }
      return all
    })
  }

  /** Verifies a wrap for this member and takes its key; `replay` says that the key is already here. */
  acceptWrap(message: string): Promise<signed.Wrap> {
    return this.inTurn(async () => {
      const { self } = this.setup
      if (this.place(self.member) < 0) throw new SealError('not-on-roster', 'this member')
      const { wrap, key } = await this.keyAgreement.take(message, (id) => this.sender(id))
      try {
        this.checkWrap(wrap)
        const digest = await sha256(key)
        const old = this.keys.get(wrap.kid)
        if (old !== undefined) {
          if (equal(old.digest, digest) && old.track === wrap.track) throw new SealError('replay', `wrap of key id ${wrap.kid}`)
          throw new SealError('second-key', `${wrap.kid} of ${wrap.sender}`)
        }
        const opener = await Opener.make(key, wrap.kid)
        const facts = { member: wrap.sender, track: wrap.track, source: wrap.source, number: placeOf(wrap.kid).number }
        if (!this.tracks.some((t) => t.member === facts.member && t.track === facts.track)) this.tracks.push(facts)
        this.keys.set(wrap.kid, {
          member: wrap.sender, track: wrap.track, source: wrap.source, metadata: utf8(wrap.track), opener, digest, until: Infinity,
        })
        return wrap
      } finally {
        key.fill(0)
      }
    })
  }

  private sender(id: words.MemberID): Member {
    const m = this.known.get(id)
    if (m === undefined) throw new SealError('unknown-member', id)
    if (this.place(id) < 0) throw new SealError('not-on-roster', id)
    if (m.recorder || id === this.setup.self.member) throw new SealError('member', `${id} gives no keys`)
    return m
  }

  private checkWrap(w: signed.Wrap) {
    if (w.hearing !== this.setup.hearing || w.group !== this.setup.group) throw new SealError('wrap', 'of another hearing or group')
    if (this.inForce === null || w.epoch !== this.inForce.roster.epoch || w.roster !== this.inForce.hash) {
      throw new SealError('epoch', `wrap of epoch ${w.epoch}`)
    }
    const { number } = placeOf(w.kid)
    if (w.kid !== kidOf(w.epoch, this.place(w.sender), number)) throw new SealError('wrap', `key id ${w.kid} is not the sender's`)
    if (!isID('trk', w.track) || !sources.includes(w.source)) throw new SealError('track', 'track or source is missing')
    const otherwise = this.tracks.some(
      (t) => t.member === w.sender && (t.track === w.track || t.number === number) &&
        (t.track !== w.track || t.number !== number || t.source !== w.source),
    )
    if (otherwise) throw new SealError('track', `${w.track} was declared otherwise`)
  }

  /**
   * Seals one frame of an own track. Refuses with `no-key` until wraps were
   * made for the roster in force (or, when nobody left, goes on under the
   * epoch before), and with `origin` when lists were not collected for long.
   * `kept` says whether a terminal's back-up takes it: of a picture one layer does.
   */
  async seal(track: words.TrackID, header: FrameHeader, frame: Uint8Array, kept = true): Promise<{ sealed: Bytes; epoch: number }> {
    const s = this.own.get(track)
    if (s?.source !== header.source) throw new SealError('track', 'not declared, or of another source')
    if (s.next !== null && this.now() >= s.from) [s.cur, s.next] = [s.next, null]
    if (s.cur === null) throw new SealError('no-key', 'no key of the roster in force')
    if (this.setup.rules.origins && s.runs.length >= bounds.pendingOrigins) throw new SealError('origin', 'lists wait uncollected')
    const { kid, epoch, sealer } = s.cur
    const own = header.redundant === true && s.used !== kid ? withoutCopies(frame) : frame
    s.used = kid
    const { sealed, counter } = await sealer.seal(s.metadata, encodeFrame(header, own))
    if (this.setup.rules.origins) this.note(s, kid, counter, (await sha256(sealed)).subarray(0, bounds.originHash))
    if (kept && s.source !== 'screen') this.setup.backup?.frame(epoch, track, header.capture, sealed)
    return { sealed, epoch }
  }

  private note(s: Sending, kid: number, counter: bigint, digest: Bytes) {
    const last = s.runs.at(-1)
    if (last?.kid === kid && last.first + BigInt(last.hashes.length) === counter && last.hashes.length < bounds.originFrames) {
      last.hashes.push(digest)
    } else {
      s.runs.push({ kid, first: counter, hashes: [digest] })
    }
  }

  /**
   * Opens a frame that came where the given member's track is expected. A frame
   * of any other member or track, one seen before, or one without a key here is
   * refused; `no-key` may pass once the sender's wrap has come.
   */
  async open(member: words.MemberID, track: words.TrackID, sealed: Bytes): Promise<{ header: FrameHeader; frame: Bytes; epoch: number }> {
    const { kid } = parseHeader(sealed)
    const k = this.keys.get(Number(kid))
    if (k === undefined || this.now() > k.until) throw new SealError('no-key', 'no key for this frame')
    if (k.member !== member || k.track !== track) throw new SealError('track', 'frame is of another member or track')
    const opened = parseFrame(await k.opener.open(k.metadata, sealed))
    if (opened.header.source !== k.source) throw new SealError('track', 'frame is of another source')
    return { ...opened, epoch: placeOf(Number(kid)).epoch }
  }

  /** Whether a frame's key is not here and may still come: for the roster in force, or for one that has not come either. */
  awaits(sealed: Bytes): boolean {
    const kid = Number(parseHeader(sealed).kid)
    return !this.keys.has(kid) && (this.inForce === null || placeOf(kid).epoch >= this.inForce.roster.epoch)
  }

  /** Signs the lists of all frames sealed since the last call, of every own track. */
  origins(): Promise<string[]> {
    return this.inTurn(async () => {
      const { self, hearing, group } = this.setup
      const lists: string[] = []
      for (const s of this.own.values()) {
        for (const run of s.runs.splice(0)) {
          const list: signed.Origin = {
            v: 1, hearing, group, member: self.member, track: s.track, rid: '', seq: s.seq, prev: s.prev, kid: run.kid,
            first: Number(run.first), hashes: toBase64url(concat(...run.hashes)),
          }
          const text = await sign(list, typ.origin, self.sign.privateKey)
          s.seq++
          s.prev = await hash(text)
          if (s.source !== 'screen') this.setup.backup?.list(placeOf(run.kid).epoch, text)
          lists.push(text)
        }
      }
      return lists
    })
  }

  /** Verifies a list of a known member: its key id must be that member's, and lists follow each other. */
  acceptOrigin(message: string): Promise<signed.Origin> {
    return this.inTurn(() =>
      refusing('origin', async () => {
        if (message.length > bounds.origin) throw new SealError('origin', 'too long')
        const m = this.known.get(peekMessage('origin', message).member)
        if (m === undefined) throw new SealError('unknown-member', 'signer of the list')
        const o = await verifyMessage('origin', message, m.signKey)
        const n = fromBase64url(o.hashes).length
        const { epoch, place, number } = placeOf(o.kid)
        const facts = this.tracks.find((t) => t.member === o.member && t.track === o.track)
        const holds =
          !m.recorder && this.setup.rules.origins && o.v === 1 && o.member === m.id && o.hearing === this.setup.hearing && o.group === this.setup.group &&
          n > 0 && n % bounds.originHash === 0 && n <= bounds.originFrames * bounds.originHash && isID('trk', o.track) && o.rid.length <= 16 &&
          o.seq >= 0 && o.first >= 0 && o.kid >= 0 && (o.seq === 0) === (o.prev === '') &&
          this.places.get(epoch)?.[place] === o.member && (facts === undefined || facts.number === number)
        if (!holds) throw new SealError('origin', 'list does not hold')
        const key = `${o.member} ${o.track} ${o.rid}`
        const last = this.lists.get(key)
        if (last !== undefined && o.seq <= last.seq) throw new SealError('replay', `list ${o.seq} of ${o.track}`)
        if (last !== undefined && o.seq === last.seq + 1 && o.prev !== last.hash) throw new SealError('origin', 'list does not follow the one before')
        this.lists.set(key, { seq: o.seq, hash: await hash(message) })
        return o
      }),
    )
  }

  /** Verifies a heartbeat of a known recorder, on the roster or not, newer than its last. */
  acceptHeartbeat(message: string): Promise<signed.Heartbeat> {
    return this.inTurn(() =>
      refusing('heartbeat', async () => {
        if (message.length > bounds.heartbeat) throw new SealError('heartbeat', 'too long')
        const m = this.known.get(peekMessage('heartbeat', message).member)
        if (m === undefined) throw new SealError('unknown-member', 'signer of the heartbeat')
        const h = await verifyMessage('heartbeat', message, m.signKey)
        const holds =
          m.recorder && h.v === 1 && h.member === m.id && h.hearing === this.setup.hearing && h.group === this.setup.group &&
          h.seq >= 0 && h.durable >= 0 && h.now >= 0 && isID('rec', h.recording) && recorderStates.includes(h.state) &&
          (h.tracks ?? []).length <= bounds.members * bounds.tracks
        if (!holds) throw new SealError('heartbeat', 'it does not hold')
        if (h.seq <= (this.beats.get(h.member) ?? -1)) throw new SealError('replay', `heartbeat ${h.seq} of ${h.member}`)
        this.beats.set(h.member, h.seq)
        if (h.state === 'recording' || h.state === 'behind') this.setup.backup?.beat()
        return h
      }),
    )
  }
}

/** The first 30 bits of SHA-256("kuule-sas" || roster) as six digits modulo 10^6. */
export async function shortString(roster: string): Promise<string> {
  const sum = await sha256(utf8(`kuule-sas${roster}`))
  return String((new DataView(sum.buffer).getUint32(0) >>> 2) % 1_000_000).padStart(6, '0')
}

/** Whether a verified list names this sealed frame, by key id, counter and hash. */
export async function covers(list: signed.Origin, sealed: Bytes): Promise<boolean> {
  const { kid, counter } = parseHeader(sealed)
  const at = Number(counter - BigInt(list.first)) * bounds.originHash
  const hashes = fromBase64url(list.hashes)
  if (kid !== BigInt(list.kid) || at < 0 || at >= hashes.length) return false
  return equal((await sha256(sealed)).subarray(0, bounds.originHash), hashes.subarray(at, at + bounds.originHash))
}
