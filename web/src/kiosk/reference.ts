/** Crockford's base 32 and the five symbols that only the check symbol uses. */
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ*~$=U'

/** The keys of the touch keyboard, in rows. */
export const keys = ['0123456789', 'ABCDEFGHJK', 'MNPQRSTVWX', 'YZ*~$=U'].map((row) => Array.from(row))

export const length = 9

/** A typed or scanned symbol as the code spells it; '' for what is no symbol. */
export function symbol(key: string): string {
  const s = key.toUpperCase().replace('O', '0').replace(/[IL]/, '1')
  return s.length === 1 && alphabet.includes(s) ? s : ''
}

/** 4-4-1, as it is printed. */
export function grouped(code: string): string {
  return [code.slice(0, 4), code.slice(4, 8), code.slice(8)].filter((part) => part !== '').join('-')
}

/** Whether the last symbol fits the others: a mistyped one is noticed before anything is sent. */
export function isRight(code: string): boolean {
  if (code.length !== length) return false
  let n = 0
  for (const s of code.slice(0, 8)) {
    const digit = alphabet.indexOf(s)
    if (digit < 0 || digit >= 32) return false
    n = (n * 32 + digit) % 37
  }
  return alphabet[n] === code[8]
}
