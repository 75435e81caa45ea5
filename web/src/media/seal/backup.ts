import { Aes256Gcm, CipherSuite, DhkemP256HkdfSha256, HkdfSha256 } from '@hpke/core'
import type * as words from '../../api/words'
import { canonical } from './canon'
import { fromBase64url, toBase64url, utf8, type Bytes } from './encoding'

/** A key's place, as internal to a chunk (interview/backup). */
interface SealedKey {
  track: words.TrackID
  source: words.Source
  kid: number
  sealed: string
}
interface KeptFrame {
  track: words.TrackID
  at: words.Micros
  sealed: string
}

/** What a room terminal's agent keeps: about a second of one key epoch (interview/backup.Chunk). */
export interface Chunk {
  v: 1
  hearing: words.HearingID
  group: words.GroupID
  member: words.MemberID
  epoch: number
  statement: string
  roster: string
  recorder: string
  keys: SealedKey[]
  frames: KeptFrame[]
  origins: string[]
}

/** Bounds of one chunk, below those of the agent (interview/backup), and of what waits to be collected. */
const bounds = { frames: 1500, bytes: 640 << 10, chunks: 8 }

/**
 * How long after a recorder's last heartbeat the page still shows the room as on
 * record, in milliseconds: what is said after it people say believing that nobody
 * records, and it is not kept.
 */
const beatLife = 2000

/** How long a layer may be silent before another one takes its place, in milliseconds. */
const silent = 1000

/**
 * Which layer of an own picture is kept: the largest that is sent. A layer begins
 * with a key frame, since without it nothing after it could be shown.
 */
export class Largest {
  private source = 0
  private width = 0
  private seen = -Infinity

  keeps(frame: { source: number; width: number; key: boolean }, now: number): boolean {
    const own = frame.source === this.source && this.seen > -Infinity
    if (!own && !(frame.key && (frame.width > this.width || now - this.seen > silent))) return false
    this.seen = now
    this.source = frame.source
    if (frame.key) this.width = frame.width
    return true
  }
}

interface Kept {
  roster: string
  recorder: string
  chunks: Chunk[] // the last one is open
  bytes: number // of its frames
}

/**
 * Gathers what a room terminal sends while a recorder shares its keys, for the
 * agent to keep should both recorders fail. An epoch is opened only with the
 * admission of a recorder on its roster; a frame of any other epoch, as of a
 * pause or consultation, has no chunk to go to.
 */
export class Backup {
  private readonly to: Promise<CryptoKey>
  private readonly facts: Pick<Chunk, 'v' | 'hearing' | 'group' | 'member'>
  /** This page's own, once it is known. */
  statement = ''
  private readonly epochs = new Map<number, Kept>()
  private beaten = -Infinity

  /** `key` is the trust file's `backup_key`: base64url SPKI of a P-256 key. */
  constructor(key: string, facts: { hearing: words.HearingID; group: words.GroupID; member: words.MemberID }) {
    this.facts = { v: 1, ...facts }
    this.to = crypto.subtle.importKey('spki', fromBase64url(key), { name: 'ECDH', namedCurve: 'P-256' }, true, [])
  }

  /** An own key of an epoch that a recorder is in. */
  async key(epoch: number, roster: string, recorder: string, of: { track: words.TrackID; source: words.Source; kid: number }, raw: Bytes): Promise<void> {
    const suite = new CipherSuite({ kem: new DhkemP256HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() })
    const { hearing, member } = this.facts
    const info = utf8(canonical({ for: 'kuule-backup-key', hearing, member, track: of.track, source: of.source, kid: of.kid }))
    const sender = await suite.createSenderContext({ recipientPublicKey: await this.to, info })
    const sealed = new Uint8Array(await sender.seal(raw))
    const enc = new Uint8Array(sender.enc)
    const both = new Uint8Array(enc.length + sealed.length)
    both.set(enc)
    both.set(sealed, enc.length)
    const kept = this.epochs.get(epoch) ?? { roster, recorder, chunks: [this.empty(epoch, roster, recorder)], bytes: 0 }
    this.epochs.set(epoch, kept)
    kept.chunks.at(-1)?.keys.push({ ...of, sealed: toBase64url(both) })
  }

  /** A recorder's heartbeat came and holds. */
  beat(now = performance.now()) {
    this.beaten = now
  }

  /** A frame as it is sent; not kept where its epoch has no recorder, where none was heard for long, nor where nobody collects. */
  frame(epoch: number, track: words.TrackID, at: words.Micros, sealed: Bytes, now = performance.now()) {
    if (now - this.beaten > beatLife) return
    const kept = this.epochs.get(epoch)
    const open = kept?.chunks.at(-1)
    if (kept === undefined || open === undefined) return
    const text = toBase64url(sealed)
    if (open.frames.length >= bounds.frames || kept.bytes + text.length > bounds.bytes) {
      if (kept.chunks.length >= bounds.chunks) return
      kept.chunks.push(this.empty(epoch, kept.roster, kept.recorder))
      kept.bytes = 0
    }
    kept.bytes += text.length
    kept.chunks.at(-1)?.frames.push({ track, at, sealed: text })
  }

  /** A signed list of hashes. */
  list(epoch: number, text: string) {
    this.epochs.get(epoch)?.chunks.at(-1)?.origins.push(text)
  }

  /** What was gathered since the last call, oldest epoch first. */
  take(): Chunk[] {
    const out: Chunk[] = []
    for (const [epoch, kept] of [...this.epochs].sort(([a], [b]) => a - b)) {
      const full = kept.chunks.filter((c) => c.keys.length + c.frames.length + c.origins.length > 0)
      if (full.length === 0) continue
      out.push(...full)
      kept.chunks = [this.empty(epoch, kept.roster, kept.recorder)]
      kept.bytes = 0
    }
    while (this.epochs.size > 4) this.epochs.delete(Math.min(...this.epochs.keys()))
    return out
  }

  private empty(epoch: number, roster: string, recorder: string): Chunk {
    return { ...this.facts, statement: this.statement, epoch, roster, recorder, keys: [], frames: [], origins: [] }
  }
}
