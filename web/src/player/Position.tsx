import { clockText, useTexts } from '../i18n'
import type { Seconds } from './clock'

/** Where a recording is heard, to be moved by hand or by keys. */
export function Position({ at, length, onSeek }: { at: Seconds; length: Seconds; onSeek: (to: Seconds) => void }) {
  const { t } = useTexts()
  return (
    <input
      className="position"
      type="range"
      dir="ltr"
      min={0}
      max={Math.max(1, Math.floor(length))}
      step={1}
      value={Math.floor(at)}
      aria-label={t('shared.player.position')}
      aria-valuetext={clockText(at * 1e6)}
      onChange={(e) => onSeek(Number(e.target.value))}
    />
  )
}
