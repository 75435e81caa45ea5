import type { Subject } from './Picture'
import type { Key } from './texts'
import type { Outcome } from './visit'

/**
 * What the end of a visit says, in its order: the first sentence is the screen's
 * own. That a finger could not be had is said before the number to wait with.
 */
export function sentencesOf({ result, fingers, number }: Outcome): { keys: [Key, ...Key[]]; picture: Subject } {
  const waits: Key[] = number !== null && result !== 'join' ? ['number.wait'] : []
  if (fingers) return { keys: ['outcome.desk.fingers', ...waits], picture: 'desk' }
  if (waits.length > 0) return { keys: ['number.wait'], picture: 'desk' }
  return { keys: [`outcome.${result}`], picture: result === 'done' ? 'join' : result }
}

/** What is read out beside the screen's own sentence: the rest of them, and the number. */
export function besideOf(outcome: Outcome, t: (key: Key) => string): string {
  const [, ...rest] = sentencesOf(outcome).keys
  const number = outcome.number === null ? [] : [`${t('number.yours')}: ${outcome.number.text.replace(/(?<=\D)(?=\d)/, ' ')}.`]
  return [...rest.map(t), ...number].join(' ')
}
