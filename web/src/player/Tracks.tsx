import { useEffect, useRef } from 'react'
import { useTexts } from '../i18n'
import { Check } from '../ui/controls'
import type { Lane, Outline } from './api'
import type { Seconds } from './clock'
import { levels } from './engine'
import { Moment, Position } from './Position'

/** The time line: where it is, the phases of the hearing, and a waveform for each sound from the sealed loudness, with its gaps. */
export function Tracks({ outline, at, muted, nameOf, onSeek, onMute }: { outline: Outline; at: Seconds; muted: ReadonlySet<number>; nameOf: (roles: readonly string[] | null) => string; onSeek: (to: Seconds) => void; onMute: (lane: number, muted: boolean) => void }) {
  const { t } = useTexts()
  const marks = [...(outline.lanes.some((l) => l.holes.length > 0) ? (['hatched'] as const) : []), ...(outline.backups.length > 0 ? (['doubled'] as const) : [])]
  return (
    <div className="tracks">
      <div className="across">
        <Moment outline={outline} at={at} />
        <Position outline={outline} at={at} onSeek={onSeek} />
      </div>
      <div className="across" aria-hidden="true">
        <span>{t('shared.player.phases')}</span>
        <Phases outline={outline} />
      </div>
      <ul>
        {outline.lanes.map((lane, i) =>
          lane.source === 'audio' ? (
            <li key={lane.name + String(i)} className="across">
              <Check selected={!muted.has(i)} onChange={(on) => onMute(i, !on)}>
                <span className="hidden">{t('shared.player.hear')} </span>
                {nameOf(lane.roles)}
                {microphone(outline, i)}
              </Check>
              <Wave outline={outline} lane={lane} level={levels(outline, i)} at={at} onSeek={onSeek} />
            </li>
          ) : null,
        )}
      </ul>
      {marks.length > 0 && <p className="quiet small">{marks.map((m) => t(`shared.player.marks.${m}`)).join(' ')}</p>}
    </div>
  )
}

/** The phases of the hearing that the recording goes through, each with its end. */
export function phases(outline: Outline) {
  return outline.phases
    .map((p, i) => ({ phase: p.phase, from: Math.max(p.since, outline.from), to: Math.min(outline.phases[i + 1]?.since ?? outline.to, outline.to) }))
    .filter((p) => p.to > p.from)
}

/** The phases as a strip; the list of gaps has in words what is not on record. */
function Phases({ outline }: { outline: Outline }) {
  const { t } = useTexts()
  const length = Math.max(1, outline.to - outline.from)
  const percent = (micros: number) => `${String((micros / length) * 100)}%`
  return (
    <div className="phases" dir="ltr">
      {phases(outline).map((p) => (
        <span key={p.from} className={p.phase} title={t(`shared.phase.${p.phase}`)} style={{ left: percent(p.from - outline.from), width: percent(p.to - p.from) }}>
          <bdi>{t(`shared.phase.${p.phase}`)}</bdi>
        </span>
      ))}
    </div>
  )
}

/** Several microphones of one device are told apart by number. */
function microphone(outline: Outline, lane: number): string {
  const of = outline.lanes[lane]
  const alike = outline.lanes.flatMap((l, i) => (l.source === 'audio' && (l.roles ?? []).join() === (of.roles ?? []).join() ? [i] : []))
  return alike.length < 2 ? '' : ` (${String(alike.indexOf(lane) + 1)})`
}

const tall = 44
const wide = 1000

/** One sound as a picture; a press seeks. The slider above does the same for who does not see it. */
function Wave({ outline, lane, level, at, onSeek }: { outline: Outline; lane: Lane; level: Uint8Array; at: Seconds; onSeek: (to: Seconds) => void }) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const length = Math.max(1, outline.to - outline.from)
  // Drawn when something new is known, not with every step of the play head.
  useEffect(() => {
    const x = (micros: number) => ((micros - outline.from) / length) * wide
    const to = canvas.current?.getContext('2d')
    if (to == null || canvas.current === null) return
    const color = (name: string) => getComputedStyle(to.canvas).getPropertyValue(name)
    to.clearRect(0, 0, wide, tall)
    for (const p of phases(outline)) {
      if (p.phase !== 'paused' && p.phase !== 'consultation') continue
      to.fillStyle = color(p.phase === 'consultation' ? '--fi-color-accent-tertiary-light1' : '--fi-color-warning-light1')
      to.fillRect(x(p.from), 0, x(p.to) - x(p.from), tall)
    }
    to.strokeStyle = color('--fi-color-alert-base')
    to.lineWidth = 1
    for (const h of lane.holes) {
      // Hatched: a gap is told by its pattern, not by its colour alone.
      for (let at = x(h.from); at < x(h.to); at += 6) {
        to.beginPath()
        to.moveTo(at, tall)
        to.lineTo(Math.min(at + 6, x(h.to)), tall - 8)
        to.stroke()
      }
    }
    // A double line on top: no recorder has it, it comes from a terminal's back-up.
    to.strokeStyle = color('--fi-color-depth-dark1')
    for (const b of outline.backups) {
      for (const y of [1.5, 4.5]) {
        to.beginPath()
        to.moveTo(x(b.from), y)
        to.lineTo(Math.max(x(b.to), x(b.from) + 3), y)
        to.stroke()
      }
    }
    to.fillStyle = color('--action')
    const points = Math.max(1, Math.ceil(length / outline.step))
    for (let column = 0; column < wide; column++) {
      const from = Math.floor((column / wide) * points)
      const until = Math.max(from + 1, Math.floor(((column + 1) / wide) * points))
      let loud = 0
      for (let i = from; i < until; i++) {
        const l = level[i] ?? 0
        if (l > 0 && l < 128) loud = Math.max(loud, 1 - (l - 1) / 70)
      }
      const high = Math.max(0, loud) * (tall - 4)
      if (high > 0) to.fillRect(column, (tall - high) / 2, 1, high)
    }
  }, [outline, lane, level, length])
  const head = Math.min(100, ((at * 1e6) / length) * 100)
  return (
    <div className="wave" dir="ltr">
      <canvas
        ref={canvas}
        width={wide}
        height={tall}
        aria-hidden="true"
        onClick={(e) => {
          const box = e.currentTarget.getBoundingClientRect()
          onSeek((((e.clientX - box.left) / box.width) * length) / 1e6)
        }}
      />
      <span className="head" style={{ insetInlineStart: `${String(head)}%` }} aria-hidden="true" />
    </div>
  )
}
