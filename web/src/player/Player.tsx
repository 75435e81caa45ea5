import { useCallback, useEffect, useRef, useState, type KeyboardEvent } from 'react'
import type { Utterance } from '../api/model'
import { clockText, useTexts } from '../i18n'
import { Button, Check, Choice, Notice } from '../ui/controls'
import type { Outline, Span } from './api'
import type { Seconds } from './clock'
import { Copies } from './Copies'
import type { Engine } from './engine'
import { useNames, usePlayback } from './playback'
import { phases, Tracks } from './Tracks'

const speeds = ['0.5', '0.75', '1', '1.25', '1.5', '2'] as const

/** A recording with everybody in it: pictures, sound, time line and transcript. Copies are for who may take them: the hearing's id, else null. */
export function Player({ viewing, first, lines, copies = null, onClose }: { viewing: string; first: Outline; lines: Utterance[]; copies?: string | null; onClose: () => void }) {
  const { t } = useTexts()
  const { engine, outline, state, end } = usePlayback(viewing, first)
  const [only, setOnly] = useState('')
  const [speed, setSpeed] = useState<(typeof speeds)[number]>('1')
  const [even, setEven] = useState(true)
  const [muted, setMuted] = useState<ReadonlySet<number>>(new Set())

  const length = (outline.to - outline.from) / 1e6
  const seek = useCallback((to: Seconds) => engine?.seek(to), [engine])
  const people = [...new Set(outline.lanes.map((l) => (l.roles ?? []).join(' ')))].filter((p) => p !== '')
  const nameOf = useNames()
  // Who interprets alone at a device has a track of the own, which can be taken out or heard by itself.
  const interpreters = outline.lanes.flatMap((l, i) => (l.source === 'audio' && (l.roles ?? []).length === 1 && l.roles?.[0] === 'interpreter' ? [i] : []))

  const silentBut = (lanes: (lane: number) => boolean) => new Set(outline.lanes.flatMap((l, i) => (l.source === 'audio' && !lanes(i) ? [i] : [])))
  const hear = (lanes: (lane: number) => boolean) => {
    const silent = silentBut(lanes)
    setMuted(silent)
    outline.lanes.forEach((_, i) => engine?.mute(i, silent.has(i)))
  }
  const voices: { name: 'both' | 'original' | 'interpreter'; lanes: (lane: number) => boolean }[] = [
    { name: 'both', lanes: () => true },
    { name: 'original', lanes: (i) => !interpreters.includes(i) },
    { name: 'interpreter', lanes: (i) => interpreters.includes(i) },
  ]
  const choose = (who: string) => {
    setOnly(who)
    hear((i) => who === '' || (outline.lanes[i]?.roles ?? []).join(' ') === who)
  }
  const faster = (by: number) => {
    const next = speeds[Math.max(0, Math.min(speeds.length - 1, speeds.indexOf(speed) + by))] ?? '1'
    setSpeed(next)
    engine?.setRate(Number(next))
  }
  // The keys work as soon as it is there, and who cannot see it is told that it is.
  const group = useRef<HTMLDivElement>(null)
  useEffect(() => group.current?.focus(), [])
  const [closing, setClosing] = useState(false)
  const close = () => {
    setClosing(true)
    void end().then(onClose) // who listened is listed once the server has it
  }
  const toggle = () => engine?.play(!state.playing)

  const onKey = (event: KeyboardEvent<HTMLElement>) => {
    const target = event.target as HTMLElement
    if (event.ctrlKey || event.altKey || event.metaKey || target.closest('textarea, [role="listbox"], input:not([type="range"])') !== null) return
    const slider = target.matches('input[type="range"]')
    if (event.key === ' ' && target.closest('button, summary, [role="checkbox"], label') !== null) return
    const act = keys(event.key, slider)
    if (act === null) return
    event.preventDefault()
    if (act === 'toggle') toggle()
    else if (act === 'faster') faster(1)
    else if (act === 'slower') faster(-1)
    else if ('by' in act) engine?.move(act.by)
    else seek(length * act.part)
  }

  const current = lines.findLast((l) => l.at <= outline.from + state.at * 1e6)
  return (
    // The keys are short cuts: everything they do has a control that can be reached.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions
    <div ref={group} role="group" tabIndex={-1} className="player stack" aria-label={t('shared.player.title')} onKeyDown={onKey}>
      {(outline.faults ?? []).length > 0 && (
        <Notice kind="alert" title={t('shared.player.damaged')}>
          {(outline.faults ?? []).map((f) => (
            <p key={f} className="small" dir="ltr">
              {f}
            </p>
          ))}
        </Notice>
      )}
      {state.failure === 'unplayable' && <Notice kind="alert" title={t('shared.player.unplayable')} live />}
      {state.failure === 'ended' && (
        <div role="alert">
          <Notice kind="warning" title={t('shared.player.ended')}>
            <p>{t('shared.player.endedHelp')}</p>
            <Button look="secondary" isDisabled={closing} onPress={close}>
              {t('shared.player.close')}
            </Button>
          </Notice>
        </div>
      )}
      {!outline.done && <p role="status">{t('shared.player.surveying', { at: clockText(outline.surveyed) })}</p>}
      <Pictures engine={engine} outline={outline} at={state.at} only={only} nameOf={nameOf} />
      <div className="row">
        <Button isDisabled={state.failure === 'ended'} onPress={toggle}>{state.playing ? t('shared.player.pause') : t('shared.player.play')}</Button>
        <Button look="secondary" onPress={() => engine?.move(-10)}>
          {t('shared.player.back')}
        </Button>
        <Button look="secondary" onPress={() => engine?.move(10)}>
          {t('shared.player.forward')}
        </Button>
        <span role="status" className="quiet">
          {state.waiting ? t('shared.player.waiting') : ''}
        </span>
      </div>
      <Tracks outline={outline} at={state.at} muted={muted} nameOf={nameOf} onSeek={seek} onMute={(lane, off) => {
        setMuted((before) => new Set(off ? [...before, lane] : [...before].filter((l) => l !== lane)))
        engine?.mute(lane, off)
      }} />
      <div className="row ends">
        <Choice label={t('shared.player.speed')} value={speed} onChange={(s) => {
          setSpeed(s)
          engine?.setRate(Number(s))
        }} options={speeds.map((s) => ({ id: s, text: `${s}×` }))} />
        <Choice label={t('shared.player.show')} value={only === '' ? 'all' : only} onChange={(w) => choose(w === 'all' ? '' : w)} options={[{ id: 'all', text: t('shared.player.everyone') }, ...people.map((p) => ({ id: p, text: nameOf(p.split(' ')) }))]} />
        <Check selected={even} onChange={(on) => {
          setEven(on)
          engine?.evenOut(on)
        }}>
          {t('shared.player.even')}
        </Check>
      </div>
      {interpreters.length > 0 && (
        <div role="group" aria-label={t('shared.player.voices')} className="row">
          {voices.map(({ name, lanes }) => {
            const silent = silentBut(lanes)
            const on = silent.size === muted.size && [...silent].every((i) => muted.has(i))
            return (
              <Button key={name} look={on ? 'primary' : 'secondary'} aria-pressed={on} onPress={() => {
                setOnly('')
                hear(lanes)
              }}>
                {t(`shared.player.${name}`)}
              </Button>
            )
          })}
        </div>
      )}
      <p className="quiet small">{t('shared.player.keys')}</p>
      {copies !== null && <Copies viewing={viewing} hearing={copies} outline={outline} nameOf={nameOf} />}
      <Gaps outline={outline} nameOf={nameOf} onSeek={seek} />
      {lines.length > 0 && (
        <div>
          <h3>{t('shared.player.lines')}</h3>
          <ol className="seek-lines">
            {lines.map((l) => (
              <li key={l.utterance} aria-current={l === current ? 'true' : undefined}>
                <Button look="quiet" onPress={() => seek((l.at - outline.from) / 1e6)}>
                  <span dir="ltr">{clockText(l.at)}</span> <span className="kind">{t(`shared.record.kind.${l.kind}`)}</span> <span dir="auto">{l.text}</span>
                </Button>
              </li>
            ))}
          </ol>
        </div>
      )}
      <div>
        <Button look="quiet" isDisabled={closing} onPress={close}>
          {t('shared.player.close')}
        </Button>
      </div>
    </div>
  )
}

type Act = 'toggle' | 'faster' | 'slower' | { by: Seconds } | { part: number }

/** What a key does; the slider keeps its own arrows. */
function keys(key: string, slider: boolean): Act | null {
  switch (key) {
    case ' ':
    case 'k':
    case 'K':
      return 'toggle'
    case 'j':
    case 'J':
      return { by: -10 }
    case 'l':
    case 'L':
      return { by: 10 }
    case 'ArrowLeft':
      return slider ? null : { by: -5 }
    case 'ArrowRight':
      return slider ? null : { by: 5 }
    case '>':
      return 'faster'
    case '<':
      return 'slower'
  }
  return /^[0-9]$/.test(key) ? { part: Number(key) / 10 } : null
}

export function Pictures({ engine, outline, at, only, nameOf }: { engine: Engine | null; outline: Outline; at: Seconds; only: string; nameOf: (roles: readonly string[] | null) => string }) {
  const { t } = useTexts()
  const shown = engine?.tracks.filter((x) => x.kind === 'video' && (only === '' || (outline.lanes[x.lane]?.roles ?? []).join(' ') === only)) ?? []
  if (shown.length === 0) return null
  return (
    <div className="pictures">
      {shown.map((x) => {
        const lane = outline.lanes[x.lane]
        const hole = engine?.hole(x.lane, at) ?? null
        return (
          <figure key={x.lane} className={hole === null ? '' : 'hole'}>
            <Element element={x.element} />
            {hole !== null && <p className="why">{t(`shared.player.cause.${causeKey(hole)}`)}</p>}
            <figcaption>
              {nameOf(lane.roles)}
              {lane.source === 'screen' && ` · ${t('shared.player.screen')}`}
            </figcaption>
          </figure>
        )
      })}
    </div>
  )
}

/** Puts an element that the engine owns onto the page. */
function Element({ element }: { element: HTMLMediaElement }) {
  const place = useRef<HTMLDivElement>(null)
  useEffect(() => {
    place.current?.append(element)
    return () => element.remove()
  }, [element])
  return <div ref={place} className="screen" />
}

const causes = ['absent', 'paused', 'consultation', 'recorder-restarted', 'disconnected', 'disk-failed', 'queue-full', 'unauthentic', 'not-received'] as const

/** A cause that there are words for. */
export function causeKey(cause: string): (typeof causes)[number] {
  return causes.find((c) => c === cause) ?? 'absent'
}

const longGap = 1e6 // microseconds; shorter ones are on the time line alone
const listed = 200

/** All gaps in words, since the time line is a picture: what nobody was to record once, and what a voice lacks beside that. */
function Gaps({ outline, nameOf, onSeek }: { outline: Outline; nameOf: (roles: readonly string[] | null) => string; onSeek: (to: Seconds) => void }) {
  const { t } = useTexts()
  const pauses = phases(outline).filter((p) => (p.phase === 'paused' || p.phase === 'consultation') && p.to - p.from >= longGap)
  const told = (h: Span) => pauses.some((p) => h.from >= p.from - longGap && h.to <= p.to + longGap)
  const gaps = [
    ...outline.backups.map((b) => ({ ...b, what: t('shared.player.backup') })),
    ...pauses.map((p) => ({ ...p, what: t(`shared.player.cause.${causeKey(p.phase)}`) })),
    ...outline.lanes.flatMap((l) =>
      l.source === 'audio' ? l.holes.filter((h) => h.to - h.from >= longGap && !told(h)).map((h) => ({ ...h, what: `${nameOf(l.roles)}: ${t(`shared.player.cause.${causeKey(h.cause)}`)}` })) : [],
    ),
  ].sort((a, b) => a.from - b.from)
  if (gaps.length === 0) return <p className="quiet small">{t('shared.player.noGaps')}</p>
  return (
    <details>
      <summary>{t('shared.player.gaps', { count: gaps.length })}</summary>
      <ul className="gaps">
        {gaps.slice(0, listed).map((g) => (
          <li key={`${g.what}${String(g.from)}`}>
            <Button look="quiet" onPress={() => onSeek((g.from - outline.from) / 1e6)}>
              <span dir="ltr">
                {clockText(g.from)}–{clockText(g.to)}
              </span>{' '}
              {g.what}
            </Button>
          </li>
        ))}
      </ul>
    </details>
  )
}
