import { useCallback, useEffect, useRef, useState } from 'react'
import { Problem } from '../api/problem'
import type { Document } from '../api/words'

/** What is asked for again and again; `refresh` asks now, and `at` is when the answer came. */
export interface Polled<T> {
  value: T | null
  at: number
  problem: Document | null
  refresh: () => Promise<void>
}

/** Asks at once and then every so often, as long as the page is there. An answer that came late takes no newer one's place. */
export function usePolled<T>(ask: () => Promise<T>, every: number): Polled<T> {
  const [state, setState] = useState<{ value: T | null; at: number; problem: Document | null }>(() => ({ value: null, at: Date.now(), problem: null }))
  const turn = useRef(0)
  const refresh = useCallback(async () => {
    const mine = ++turn.current
    try {
      const value = await ask()
      if (mine === turn.current) setState({ value, at: Date.now(), problem: null })
    } catch (thrown) {
      if (mine === turn.current) setState((before) => ({ ...before, problem: Problem.of(thrown).document }))
    }
  }, [ask])
  useEffect(() => {
    const first = setTimeout(() => void refresh(), 0)
    const timer = setInterval(() => void refresh(), every)
    return () => {
      clearTimeout(first)
      clearInterval(timer)
    }
  }, [refresh, every])
  return { ...state, refresh }
}
