import { useEffect, useRef } from 'react'
import { send } from '../api/session'
import type { NumberID } from '../api/words'
import { usePolled } from '../desk/polled'
import { Picture } from '../kiosk/Picture'
import { isTongue, say, tongues, type Key, type Tongue } from '../kiosk/texts'
import { ProblemNotice } from '../ui/Refusal'
import { chime } from './chime'
import './screen.css'

/** What a waiting room sees: kiosk-bridge/queue.go has the same. */
interface Shown {
  id: NumberID
  text: string
  desk: string
  calls: number
  at: string
}

interface Called {
  languages: string[]
  called: Shown[]
  waiting: number
}

const refreshEvery = 2000
const freshFor = 20_000 // a call is large and new for so long
const ask = () => send<Called>('GET', '/api/queues')

/** B16: the waiting room's screen: numbers and where to go, in the languages of the place, with a chime. Nothing of anybody. */
export function Screen() {
  const { value, at, problem } = usePolled(ask, refreshEvery)
  useChime(value?.called ?? null)
  const spoken = (value?.languages ?? []).filter((l): l is Tongue => isTongue(l))
  const main = spoken.at(0)
  useEffect(() => {
    if (main === undefined) return
    document.documentElement.lang = main
    document.documentElement.dir = tongues[main].dir
  }, [main])
  const shown = value?.called ?? []
  const first = shown.at(0)
  const rest = shown.slice(1)
  return (
    <main id="content" className="screen-page" tabIndex={-1}>
      {problem !== null && <ProblemNotice problem={problem} />}
      {first === undefined ? (
        <>
          <Picture of="desk" />
          <Said as="h1" of="screen.none" languages={spoken} />
        </>
      ) : (
        <>
          <Said as="h1" of="screen.go" languages={spoken} />
          <p className={`call${at - Date.parse(first.at) < freshFor ? ' fresh' : ''}`} role="status">
            <span className="number" dir="ltr">
              {first.text}
            </span>
            <Arrow />
            <span className="place">
              <bdi>{first.desk}</bdi>
            </span>
          </p>
        </>
      )}
      {rest.length > 0 && (
        <ul className="before">
          {rest.map((c) => (
            <li key={c.id}>
              <span className="number" dir="ltr">
                {c.text}
              </span>
              <Arrow />
              <bdi>{c.desk}</bdi>
            </li>
          ))}
        </ul>
      )}
    </main>
  )
}

/** One sentence in each language of the place, each from its own side. */
function Said({ as: Tag, of, languages }: { as: 'h1'; of: Key; languages: Tongue[] }) {
  return (
    <Tag className="said">
      {languages.map((l) => (
        <span key={l} lang={l} dir={tongues[l].dir}>
          {say(l, of)}
        </span>
      ))}
    </Tag>
  )
}

/** From the number to the place, whichever way the page is read. */
function Arrow() {
  return (
    <svg className="arrow" viewBox="0 0 64 40" aria-hidden="true" focusable="false">
      <path d="M2 20h54M42 6l14 14-14 14" fill="none" stroke="currentColor" strokeWidth="6" strokeLinecap="round" strokeLinejoin="round" />
    </svg>
  )
}

/** Chimes for each call that this page had not seen; not for those that were there when it began. */
function useChime(called: Shown[] | null) {
  const heard = useRef<Map<string, number> | null>(null)
  useEffect(() => {
    if (called === null) return
    const before = heard.current
    heard.current = new Map(called.map((c) => [c.id, c.calls]))
    if (before !== null && called.some((c) => c.calls > (before.get(c.id) ?? 0))) void chime()
  }, [called])
}
