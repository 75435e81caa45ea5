import { canonical, parseCanonical, shaped, type Shape } from './canon'
import { checkChain, type Leaf } from './certs'
import { fromBase64, fromBase64url, sha256, text, toBase64url, utf8, type Bytes } from './encoding'
import { SealError } from './errors'

/** Bounds one compact message, as internal/jws does. */
const maxSize = 512 << 10

interface Parts {
  alg: 'ES256' | 'EdDSA'
  x5c: string[]
  payload: string
  signed: Bytes
  signature: Bytes
}

/** Signs the canonical form of payload (compact JWS, ES256; RFC 7515), with a certificate chain in base64 if there is one. */
export async function sign(payload: unknown, typ: string, key: CryptoKey, x5c?: string[]): Promise<string> {
  const header = { alg: 'ES256', typ, ...(x5c === undefined ? {} : { x5c }) }
  const input = `${toBase64url(utf8(canonical(header)))}.${toBase64url(utf8(canonical(payload)))}`
  const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key, utf8(input))
  return `${input}.${toBase64url(new Uint8Array(signature))}`
}

/** Checks a message of type typ under key and reads its payload strictly. */
export async function verify(message: string, typ: string, key: CryptoKey, shape: Shape): Promise<Record<string, unknown>> {
  const parts = parse(message, typ)
  await checkSignature(parts, key)
  return read(parts, shape)
}

/** Checks a message whose x5c leads to one of the roots; the caller decides what the certificate may say. */
export async function verifyChain(message: string, typ: string, roots: string[], at: Date, shape: Shape): Promise<{ leaf: Leaf; payload: Record<string, unknown> }> {
  const parts = parse(message, typ)
  const leaf = await checkChain(parts.x5c.map(fromBase64), roots, at)
  await checkSignature(parts, leaf.key)
  return { leaf, payload: read(parts, shape) }
}

/** Reads the payload unchecked, to find out which key to verify with; nothing else may be done with it. */
export function peek(message: string, typ: string, shape: Shape): Record<string, unknown> {
  return read(parse(message, typ), shape)
}

/** The name of a signed message: base64url SHA-256 of its compact text. */
export async function hash(message: string): Promise<string> {
  return toBase64url(await sha256(utf8(message)))
}

function parse(message: string, typ: string): Parts {
  if (message.length > maxSize) throw new SealError('malformed', `${typ} is too long`)
  const pieces = message.split('.')
  if (pieces.length !== 3) throw new SealError('malformed', `${typ} is not a compact JWS`)
  try {
    const header = JSON.parse(text(fromBase64url(pieces[0]))) as Record<string, unknown>
    const { alg, x5c = [] } = header
    if (header.typ !== typ) throw new SealError('malformed', `type is not ${typ}`)
    if (alg !== 'ES256' && alg !== 'EdDSA') throw new SealError('malformed', 'algorithm is not used here')
    if (!Array.isArray(x5c) || x5c.length > 5 || !x5c.every((c) => typeof c === 'string')) throw new SealError('malformed', 'x5c')
    if (Object.keys(header).some((name) => !['alg', 'typ', 'x5c'].includes(name))) throw new SealError('malformed', 'header names something unknown')
    return {
      alg,
      x5c,
      payload: text(fromBase64url(pieces[1])),
      signed: utf8(`${pieces[0]}.${pieces[1]}`),
      signature: fromBase64url(pieces[2]),
    }
  } catch (thrown) {
    if (thrown instanceof SealError) throw thrown
    throw new SealError('malformed', `${typ} is not a compact JWS`)
  }
}

function read(parts: Parts, shape: Shape): Record<string, unknown> {
  return shaped(parseCanonical(parts.payload), shape)
}

async function checkSignature(parts: Parts, key: CryptoKey): Promise<void> {
  const wanted = key.algorithm.name === 'Ed25519' ? 'EdDSA' : 'ES256'
  if (parts.alg !== wanted || parts.signature.length !== 64) throw new SealError('signature', 'it is of another algorithm than the key')
  const algorithm = wanted === 'EdDSA' ? { name: 'Ed25519' } : { name: 'ECDSA', hash: 'SHA-256' }
  if (!(await crypto.subtle.verify(algorithm, key, parts.signature, parts.signed))) throw new SealError('signature', 'it does not verify')
}

/** Reads a public key: an uncompressed P-256 point for ES256, in base64url. */
export async function importPoint(point: string): Promise<CryptoKey> {
  const raw = fromBase64url(point)
  if (raw.length !== 65) throw new SealError('malformed', 'key is not an uncompressed P-256 point')
  return crypto.subtle.importKey('raw', raw, { name: 'ECDSA', namedCurve: 'P-256' }, true, ['verify'])
}

/** Reads a public key of the installation file: base64url SPKI, P-256 or Ed25519. */
export async function importSPKI(key: string): Promise<CryptoKey> {
  const der = fromBase64url(key)
  try {
    return await crypto.subtle.importKey('spki', der, { name: 'ECDSA', namedCurve: 'P-256' }, true, ['verify'])
  } catch {
    return crypto.subtle.importKey('spki', der, { name: 'Ed25519' }, true, ['verify'])
  }
}
