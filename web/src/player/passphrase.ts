const letters = '0123456789abcdefghjkmnpqrstvwxyz'

/**
 * 100 bits that can be read aloud: five groups of four letters and digits that
 * are not mistaken for each other (Crockford's base 32).
 */
export function newPassphrase(): string {
  const random = crypto.getRandomValues(new Uint8Array(20))
  const all = [...random].map((x) => letters[x & 31]).join('')
  return (all.match(/.{4}/g) ?? []).join('-')
}
