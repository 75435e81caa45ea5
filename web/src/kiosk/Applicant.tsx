import { useCallback, useEffect, useRef, useState } from 'react'
import { Button } from '../ui/controls'
import type { Key } from './texts'

/** Bounds of the number of the document of an applicant; kiosk-bridge/register.go has the same. */
const shortest = 4
const longest = 20

/** The keys of the touch keyboard, in rows. */
const keys = ['0123456789', 'ABCDEFGHIJ', 'KLMNOPQRST', 'UVWXYZ'].map((row) => Array.from(row))

/** Somebody who types leaves more time between two keys; a scanner that types does not. */
const scannerPause = 50

/** A typed or scanned symbol as registers write it; '' for what is none. */
export function letter(key: string): string {
  const k = key.toUpperCase()
  return /^[A-Z0-9]$/.test(k) ? k : ''
}

/** The number of the document of an applicant, which has no chip: touched, typed, or read by a scanner that types. */
export function Applicant({ t, onNumber }: { t: (key: Key) => string; onNumber: (number: string, scanned: boolean) => void }) {
  const [number, setNumber] = useState('')
  const keyed = useRef({ at: 0, quick: 0 })
  const right = number.length >= shortest
  const add = useCallback((key: string) => setNumber((now) => (now + letter(key)).slice(0, longest)), [])
  const touch = (key: string) => {
    keyed.current.quick = 0
    add(key)
  }
  useEffect(() => {
    const typed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return
      const k = keyed.current
      k.quick = event.timeStamp - k.at < scannerPause ? k.quick + 1 : 0
      k.at = event.timeStamp
      if (event.key === 'Backspace') setNumber((now) => now.slice(0, -1))
      else if (event.key === 'Enter' && right && !(event.target instanceof HTMLButtonElement)) onNumber(number, k.quick >= number.length)
      else if (event.key.length === 1) add(event.key)
    }
    window.addEventListener('keydown', typed)
    return () => window.removeEventListener('keydown', typed)
  }, [add, number, right, onNumber])
  return (
    <div className="code">
      <output dir="ltr" aria-label={t('applicant.label')}>
        {number || '····'}
      </output>
      <div className="keys" dir="ltr" role="group" aria-label={t('code.keys')}>
        {keys.map((row) => (
          <div key={row.join('')}>
            {row.map((k) => (
              <Button key={k} look="secondary" isDisabled={number.length === longest} onPress={() => touch(k)}>
                {k}
              </Button>
            ))}
            {row.includes('Z') && (
              <Button look="secondary" aria-label={t('code.delete')} isDisabled={number === ''} onPress={() => setNumber(number.slice(0, -1))}>
                ⌫
              </Button>
            )}
          </div>
        ))}
      </div>
      <Button large wide isDisabled={!right} onPress={() => onNumber(number, false)}>
        {t('next')}
      </Button>
    </div>
  )
}
