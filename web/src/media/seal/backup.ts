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

/** More frames than this in one chunk are not kept: nobody collects them. */
const most = 1500

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
  private readonly epochs = new Map<number, { roster: string; recorder: string; chunk: Chunk }>()

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
    this.open(epoch, roster, recorder).keys.push({ ...of, sealed: toBase64url(both) })
  }

  /** A frame as it is sent; not kept where its epoch has no recorder. */
  frame(epoch: number, track: words.TrackID, at: words.Micros, sealed: Bytes) {
    const chunk = this.epochs.get(epoch)?.chunk
    if (chunk !== undefined && chunk.frames.length < most) chunk.frames.push({ track, at, sealed: toBase64url(sealed) })
  }

  /** A signed list of hashes. */
  list(epoch: number, text: string) {
    this.epochs.get(epoch)?.chunk.origins.push(text)
  }

  /** What was gathered since the last call, oldest epoch first. */
  take(): Chunk[] {
    const out: Chunk[] = []
    for (const [epoch, kept] of [...this.epochs].sort(([a], [b]) => a - b)) {
      const { chunk } = kept
      if (chunk.keys.length + chunk.frames.length + chunk.origins.length === 0) continue
      out.push(chunk)
      kept.chunk = this.empty(epoch, kept.roster, kept.recorder)
    }
    while (this.epochs.size > 4) this.epochs.delete(Math.min(...this.epochs.keys()))
    return out
  }

  private open(epoch: number, roster: string, recorder: string): Chunk {
    const kept = this.epochs.get(epoch) ?? { roster, recorder, chunk: this.empty(epoch, roster, recorder) }
    this.epochs.set(epoch, kept)
    return kept.chunk
  }

  private empty(epoch: number, roster: string, recorder: string): Chunk {
    return { ...this.facts, statement: this.statement, epoch, roster, recorder, keys: [], frames: [], origins: [] }
  }
}
