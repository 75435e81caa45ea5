import { BasicConstraints, Certificate, CertificateChainValidationEngine } from 'pkijs'
import { fromBase64, type Bytes } from './encoding'
import { SealError } from './errors'

/** A signer's certificate that leads to a pinned root. */
export interface Leaf {
  key: CryptoKey
  /** Its organisational units: the device's id, or `recorder`. */
  units: string[]
  authority: boolean
}

const organizationalUnit = '2.5.4.11'
const basicConstraints = '2.5.29.19'

/**
 * Checks that the first certificate leads, over the others, to one of the
 * roots (PEM) at the given time (RFC 5280 section 6, by pkijs).
 */
export async function checkChain(chain: Bytes[], roots: string[], at: Date): Promise<Leaf> {
  if (chain.length === 0 || roots.length === 0) throw new SealError('chain', 'no certificate, or no root')
  const certs = chain.map(readCertificate)
  const trusted = roots.map((pem) => readCertificate(readPEM(pem)))
  const engine = new CertificateChainValidationEngine({ trustedCerts: trusted, certs: [...certs].reverse(), checkDate: at })
  const { result, resultMessage } = await engine.verify()
  if (!result) throw new SealError('chain', resultMessage === '' ? 'certificate does not lead to a trusted root' : resultMessage)
  const leaf = certs[0]
  return {
    key: (await leaf.getPublicKey({
      algorithm: { algorithm: { name: 'ECDSA', namedCurve: 'P-256' }, usages: ['verify'] },
    })),
    units: leaf.subject.typesAndValues
      .filter((v) => v.type === organizationalUnit)
      .map((v) => (v.value as { valueBlock: { value: string } }).valueBlock.value),
    authority: isAuthority(leaf),
  }
}

/**
 * Checks roots by themselves and trusts nothing for it: a fresh worker is slow
 * with its first certificate, and has nothing to do while the page joins.
 */
export async function tryRoots(roots: string[]): Promise<void> {
  for (const pem of roots) await checkChain([readPEM(pem)], [pem], new Date()).catch(() => undefined)
}

function isAuthority(cert: Certificate): boolean {
  const extension = cert.extensions?.find((e) => e.extnID === basicConstraints)
  return extension?.parsedValue instanceof BasicConstraints && extension.parsedValue.cA
}

function readCertificate(der: Bytes): Certificate {
  try {
    return Certificate.fromBER(der)
  } catch {
    throw new SealError('chain', 'certificate cannot be read')
  }
}

function readPEM(pem: string): Bytes {
  const found = /^-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=\n]+)-----END CERTIFICATE-----\n?$/.exec(pem)
  if (found === null) throw new SealError('chain', 'root is not one PEM certificate')
  return fromBase64(found[1].replaceAll('\n', ''))
}
