import { useCallback, useEffect, useRef, useState } from 'react'
import type { Role } from '../api/words'
import { listed, useTexts } from '../i18n'
import { viewings, type Outline } from './api'
import { Engine, type State } from './engine'
import { Teller } from './teller'

const growEvery = 1000 // milliseconds between looks at a recording that is still surveyed
const tellEvery = 5000 // between reports of what was heard
const farewellWithin = 10_000 // for which the page waits at the end

/** Names who sits at a device by their roles. */
export function useNames() {
  const { t } = useTexts()
  return useCallback((roles: readonly string[] | null) => ((roles ?? []).length === 0 ? t('shared.player.unknown') : listed((roles ?? []).map((r) => t(`shared.role.${r as Role}`)))), [t])
}

/**
 * Plays an opened viewing for as long as the page shows it, tells what was
 * heard, and ends the viewing with the page. `end` ends it before, and is done
 * once the server knows what was heard last.
 */
export function usePlayback(viewing: string, first: Outline) {
  const [outline, setOutline] = useState(first)
  const [state, setState] = useState<State>({ at: 0, playing: false, waiting: false, failure: null })
  const [engine, setEngine] = useState<Engine | null>(null)
  const teller = useRef<Teller | null>(null)

  useEffect(() => {
    const made = new Engine(first, (lane, from, to, begin, signal) => viewings.media(viewing, lane, first.from + Math.round(from * 1e6), first.from + Math.round(to * 1e6), begin, signal), setState)
    queueMicrotask(() => setEngine(made))
    if (import.meta.env.MODE === 'journey') Object.assign(globalThis, { kuulePlayer: made })
    const telling = new Teller(
      {
        heard: (after, spans) => viewings.heard(viewing, after, spans),
        close: (after, spans, over) => viewings.close(viewing, after, spans, over),
        leave: (after, spans) => viewings.leave(viewing, after, spans),
      },
      () => made.heard.take().map((s) => ({ from: first.from + Math.round(s.from * 1e6), to: first.from + Math.round(s.to * 1e6) })),
    )
    teller.current = telling
    const timer = setInterval(() => void telling.tell(), tellEvery)
    const leave = () => telling.leave()
    addEventListener('pagehide', leave)
    return () => {
      removeEventListener('pagehide', leave)
      clearInterval(timer)
      made.close()
      void telling.end()
    }
  }, [viewing, first])

  useEffect(() => {
    if (outline.done) return undefined
    const timer = setTimeout(() => {
      viewings
        .outline(viewing)
        .then((o) => {
          engine?.update(o)
          setOutline(o)
        })
        .catch(() => setOutline((o) => ({ ...o })))
    }, growEvery)
    return () => clearTimeout(timer)
  }, [outline, viewing, engine])

  const end = useCallback(
    async (over = false) => {
      engine?.play(false)
      await Promise.race([teller.current?.end(over), new Promise((resolve) => setTimeout(resolve, farewellWithin))])
    },
    [engine],
  )
  return { engine, outline, state, end }
}
