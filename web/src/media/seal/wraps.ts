import { Aes256Gcm, CipherSuite, DhkemP256HkdfSha256, HkdfSha256 } from '@hpke/core'
import type * as signed from '../../api/signed'
import type * as words from '../../api/words'
import { canonical } from './canon'
import { fromBase64url, toBase64url, utf8, type Bytes } from './encoding'
import { refusing, SealError } from './errors'
import { sign } from './jws'
import type { Member } from './members'
import { bounds, peekMessage, typ, verifyMessage } from './messages'
import { keyBytes } from './sframe'

/** A page instance's own keys; the private halves cannot leave this realm. */
export interface Identity {
  readonly member: words.MemberID
  readonly hpke: CryptoKeyPair
  readonly sign: CryptoKeyPair
  /** Public keys as a statement names them: base64url of uncompressed points. */
  readonly keys: { hpke: string; sign: string }
}

export async function makeIdentity(member: words.MemberID): Promise<Identity> {
  const [hpke, signing] = await Promise.all([
    crypto.subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, false, ['deriveBits']),
    crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify']),
  ])
  const point = async (key: CryptoKey) => toBase64url(new Uint8Array(await crypto.subtle.exportKey('raw', key)))
  return { member, hpke, sign: signing, keys: { hpke: await point(hpke.publicKey), sign: await point(signing.publicKey) } }
}

const hpke = () => new CipherSuite({ kem: new DhkemP256HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() })

/** Reads a recipient's HPKE key: base64url of an uncompressed P-256 point. */
export function importRecipient(point: string): Promise<CryptoKey> {
  const raw = fromBase64url(point)
  if (raw.length !== 65) throw new SealError('malformed', 'key is not an uncompressed P-256 point')
  return crypto.subtle.importKey('raw', raw, { name: 'ECDH', namedCurve: 'P-256' }, true, [])
}

/** What a wrap says, without what HPKE makes: the HPKE info. */
export type WrapFacts = Omit<signed.Wrap, 'enc' | 'ct'>

function info(w: WrapFacts): Bytes {
  const { v, hearing, group, epoch, sender, recipient, track, source, kid, roster } = w
  return utf8(canonical({ v, hearing, group, epoch, sender, recipient, track, source, kid, roster }))
}

/**
 * Carries sender keys from member to member. Signed wraps are the one in use;
 * MLS (RFC 9420) could take its place.
 */
export interface KeyAgreement {
  give(facts: WrapFacts, key: Bytes, to: Member): Promise<string>
  /** Verifies a message for this member; the caller checks that it fits, and overwrites the key. */
  take(message: string, sender: (id: words.MemberID) => Member): Promise<{ wrap: signed.Wrap; key: Bytes }>
}

/** HPKE base mode (RFC 9180; P-256, HKDF-SHA256, AES-256-GCM), signed with the page key. */
export class SignedWraps implements KeyAgreement {
  private readonly self: Identity

  constructor(self: Identity) {
    this.self = self
  }

  async give(facts: WrapFacts, key: Bytes, to: Member): Promise<string> {
    const w: WrapFacts = { ...facts, v: 1, sender: this.self.member, recipient: to.id }
    const context = await hpke().createSenderContext({ recipientPublicKey: to.hpkeKey, info: info(w) })
    const ct = await context.seal(key)
    const wrap: signed.Wrap = { ...w, enc: toBase64url(new Uint8Array(context.enc)), ct: toBase64url(new Uint8Array(ct)) }
    return sign(wrap, typ.wrap, this.self.sign.privateKey)
  }

  take(message: string, sender: (id: words.MemberID) => Member): Promise<{ wrap: signed.Wrap; key: Bytes }> {
    return refusing('wrap', async () => {
      if (message.length > bounds.wrap) throw new SealError('wrap', 'too long')
      // Only the sender is used of what is not verified yet, to find its key.
      const from = sender(peekMessage('wrap', message).sender)
      const wrap = await verifyMessage('wrap', message, from.signKey)
      if (wrap.v !== 1 || wrap.sender !== from.id || wrap.recipient !== this.self.member) {
        throw new SealError('wrap', 'not from its signer, or for somebody else')
      }
      const enc = fromBase64url(wrap.enc)
      const context = await hpke().createRecipientContext({ recipientKey: this.self.hpke, enc, info: info(wrap) })
      const key = new Uint8Array(await context.open(fromBase64url(wrap.ct)))
      if (key.length !== keyBytes) throw new SealError('wrap', 'sender key is not 32 bytes')
      return { wrap, key }
    })
  }
}
