import { parseDate, type CalendarDate } from '@internationalized/date'

const iso = /^(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?$/
const finnish = /^(?:(?:(\d{1,2})\.)?(\d{1,2})\.)?(\d{4})$/
const earliest = 1900

/**
 * Reads a date of birth as far as it is known, in the form of the booking API:
 * YYYY-MM-DD, YYYY-MM or YYYY. It may be typed as 31.12.1990 too. Null: there is
 * no such day, or it has not come yet.
 */
export function readBorn(typed: string, today: CalendarDate): string | null {
  const text = typed.trim()
  const [, year, month, day] = iso.exec(text) ?? swapped(finnish.exec(text)) ?? []
  if (year === undefined || Number(year) < earliest) return null
  const parts = [year, month, day].filter((p) => p !== undefined).map((p) => p.padStart(2, '0'))
  const first = [...parts, '01', '01'].slice(0, 3).join('-')
  try {
    return parseDate(first).compare(today) <= 0 ? parts.join('-') : null
  } catch {
    return null
  }
}

/** Reads the number of the document of an applicant as registers write it; null: it is none. */
export function readCard(typed: string): string | null {
  const number = typed.toUpperCase().replace(/[\s./-]/g, '')
  return /^[A-Z0-9]{4,20}$/.test(number) ? number : null
}

function swapped(found: RegExpExecArray | null): (string | undefined)[] | undefined {
  return found === null ? undefined : [found[0], found[3], found[2], found[1]]
}
