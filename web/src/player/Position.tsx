import { clockText, useTexts } from '../i18n'
import type { Outline } from './api'
import type { Seconds } from './clock'

/** A moment of the view on the hearing's clock, as the record and the log name it. */
export function momentText(outline: Outline, at: Seconds): string {
  return clockText(outline.from + at * 1e6)
}

/** Where a recording is heard, and where it ends. */
export function Moment({ outline, at }: { outline: Outline; at: Seconds }) {
  return (
    <span className="clock" dir="ltr">
      {momentText(outline, at)} / {clockText(outline.to)}
    </span>
  )
}

/** Where a recording is heard, to be moved by hand or by keys. */
export function Position({ outline, at, onSeek }: { outline: Outline; at: Seconds; onSeek: (to: Seconds) => void }) {
  const { t } = useTexts()
  return (
    <input
      className="position"
      type="range"
      dir="ltr"
      min={0}
      max={Math.max(1, Math.floor((outline.to - outline.from) / 1e6))}
      step={1}
      value={Math.floor(at)}
      aria-label={t('shared.player.position')}
      aria-valuetext={momentText(outline, at)}
      onChange={(e) => onSeek(Number(e.target.value))}
    />
  )
}
