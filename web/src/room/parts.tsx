import { useEffect, useRef, useState, type RefObject } from 'react'
import type { Role } from '../api/words'
import type { SeatView } from '../api/wire'
import { clockText, listed, useTexts } from '../i18n'
import { wantedCipher } from '../media/peer'
import { gainsOf, Holding, Mixer, type Mix, type Voice } from '../media/mix'
import type { Person, Picture, RoomClient, RoomState } from '../media/room'
import type { Grade } from '../media/stats'
import { Button, Notice } from '../ui/controls'
import { Icon } from '../ui/Icon'
import { Support } from './Support'
import { useClock } from './useRoom'

export function namesOf(seats: SeatView[]): string {
  return listed(seats.map((s) => s.name))
}

export function find(people: Person[], role: Role): Person | undefined {
  return people.find((p) => !p.recorder && p.seats.some((s) => s.role === role))
}

/** Tells the room how large a picture is shown, so that no more of it is sent. */
function useShownAt(frame: RefObject<HTMLElement | null>, room: RoomClient | undefined, picture: Picture | null) {
  const track = picture?.track
  useEffect(() => {
    if (frame.current === null || room === undefined || track === undefined) return undefined
    const watch = new ResizeObserver(([{ contentRect }]) => room.showAt(track, Math.round(contentRect.height * devicePixelRatio)))
    watch.observe(frame.current)
    return () => {
      watch.disconnect()
      room.showAt(track, 0)
    }
  }, [frame, room, track])
}

function usePlayed(media: MediaStreamTrack | null): RefObject<HTMLVideoElement | null> {
  const video = useRef<HTMLVideoElement>(null)
  useEffect(() => {
    if (video.current !== null) video.current.srcObject = media === null ? null : new MediaStream([media])
  }, [media])
  return video
}

/** One person's picture; the name is always there, the picture when it comes. */
export function Tile({ person, own, label, room, large = false }: { person?: Person | undefined; own?: MediaStream | null; label: string; room?: RoomClient; large?: boolean }) {
  const { t } = useTexts()
  const frame = useRef<HTMLElement>(null)
  const self = person?.self === true
  const picture = self ? null : (person?.video ?? null)
  const media = self ? (own?.getVideoTracks()[0] ?? null) : (picture?.media ?? null)
  useShownAt(frame, room, picture)
  const video = usePlayed(media)
  return (
    <figure ref={frame} className={`tile${large ? ' large' : ''}${self ? ' own' : ''}${person?.speaking === true ? ' speaking' : ''}`}>
      {media === null ? (
        <div className="no-video">
          <Icon name="person" size={large ? 88 : 40} />
          <span>{t('shared.media.noVideo')}</span>
        </div>
      ) : (
        // The sound of the others is played apart; a picture without words needs no captions.
        <video ref={video} autoPlay playsInline muted aria-label={t('shared.media.face', { name: label })} />
      )}
      <figcaption>
        <span>{label}</span>
        {person?.connected === false && <span className="tag bad">{t('shared.members.away')}</span>}
        {person?.connected === true && person.muted && (
          <span className="tag careful muted">
            <Icon name="micOff" size={16} />
            {t('shared.own.mutedTag')}
          </span>
        )}
        {person?.connected === true && <Bars grade={person.grade} />}
      </figcaption>
    </figure>
  )
}

/** How a person's connection is: so many bars, and in words for who does not see them. */
function Bars({ grade }: { grade: Grade }) {
  const { t } = useTexts()
  const full = { good: 3, fair: 2, poor: 1, none: 0 }[grade]
  const words = t(`shared.quality.${grade}`)
  return (
    <span className={`bars ${grade}`} title={words}>
      <svg width="20" height="16" viewBox="0 0 20 16" aria-hidden="true" focusable="false">
        {[0, 1, 2].map((i) => (
          <rect key={i} x={i * 7} y={10 - i * 5} width="5" height={6 + i * 5} className={i < full ? 'full' : 'empty'} />
        ))}
        {full === 0 && <path d="M1 1 19 15" className="cut" />}
      </svg>
      <span className="hidden">{words}</span>
    </span>
  )
}

/** Screens and documents that somebody shows, large. */
export function Screens({ room, state }: { room: RoomClient; state: RoomState }) {
  return state.people.flatMap((p) => (p.screen === null ? [] : [<Screen key={p.screen.track} room={room} picture={p.screen} from={namesOf(p.seats)} />]))
}

function Screen({ room, picture, from }: { room: RoomClient; picture: Picture; from: string }) {
  const { t } = useTexts()
  const frame = useRef<HTMLElement>(null)
  useShownAt(frame, room, picture)
  const video = usePlayed(picture.media)
  return (
    <figure ref={frame} className="screen">
      <video ref={video} autoPlay playsInline muted aria-label={t('shared.screen.shownBy', { name: from })} />
      <figcaption>
        <Icon name="screen" />
        {t('shared.screen.shownBy', { name: from })}
      </figcaption>
    </figure>
  )
}

/** The sound of everybody else, each voice as loud as the listener's mix has it. */
export function Sounds({ people, mix }: { people: Person[]; mix: Mix }) {
  const { t } = useTexts()
  const mixer = useRef<Mixer | null>(null)
  const [silenced, setSilenced] = useState(false)
  const [interpreting] = useState(() => new Holding())
  useEffect(() => {
    const made = new Mixer()
    made.onChange(() => setSilenced(made.silenced))
    mixer.current = made
    // A browser says so at once, or after a moment in which it starts its sound.
    const timer = setTimeout(() => setSilenced(made.silenced), 1000)
    return () => {
      clearTimeout(timer)
      mixer.current = null
      made.close()
    }
  }, [])
  const voices = people.filter((p) => !p.self).flatMap((p) => p.voices.map((v) => ({ ...v, from: namesOf(whose(p, v)) })))
  useEffect(() => {
    const speaks = voices.some((v) => v.interpreter && v.speaking)
    const play = () => mixer.current?.play(voices, gainsOf(mix, voices, interpreting.see(speaks, performance.now() / 1000)))
    play()
    // The room comes back a moment after the interpreter's last word.
    const timer = setTimeout(play, 1000)
    return () => clearTimeout(timer)
  })
  return (
    <>
      {silenced && (
        <div className="silenced">
          <Notice kind="alert" title={t('shared.sound.silenced')} live>
            <Button
              onPress={() => {
                void mixer.current?.resume()
              }}
            >
              <Icon name="sound" />
              {t('shared.sound.allow')}
            </Button>
          </Notice>
        </div>
      )}
      {voices.map((v) => (
        <Sound key={v.track} media={v.media} from={v.from} />
      ))}
    </>
  )
}

/** Whose voice it is: at a device with two microphones, one is the interpreter's. */
function whose({ seats, voices }: Person, voice: Voice): SeatView[] {
  if (voices.length === 1) return seats
  return seats.filter((s) => (s.role === 'interpreter') === voice.interpreter)
}

/** Keeps a voice flowing into the mixer; it is silent itself. */
function Sound({ media, from }: { media: MediaStreamTrack; from: string }) {
  const audio = useRef<HTMLAudioElement>(null)
  useEffect(() => {
    if (audio.current !== null) audio.current.srcObject = new MediaStream([media])
  }, [media])
  return <audio ref={audio} autoPlay muted data-from={from} />
}

/** The sign that says whether what is said is kept: words, colour and shape together. */
export function RecordSign({ state, large = false }: { state: RoomState; large?: boolean }) {
  const { t } = useTexts()
  const words = { on: [t('shared.onRecord.on'), t('shared.onRecord.onHelp')], off: [t('shared.onRecord.off'), t('shared.onRecord.offHelp')], checking: [t('shared.onRecord.checking'), t('shared.onRecord.checkingHelp')] }[state.sign]
  return (
    <div className={`sign ${state.sign}${large ? ' large' : ''}`} role="status">
      <Icon name={state.sign === 'on' ? 'record' : state.sign === 'off' ? 'pause' : 'warning'} size={large ? 34 : 24} />
      <div>
        <strong>{words[0]}</strong>
        <span>{words[1]}</span>
      </div>
    </div>
  )
}

export function Clock({ room }: { room: RoomClient }) {
  return (
    <span className="clock" dir="ltr">
      {clockText(useClock(room))}
    </span>
  )
}

/** Everyone in the room, the recorder among them, and the number to compare aloud. */
export function People({ state }: { state: RoomState }) {
  const { t } = useTexts()
  const people = state.people.filter((p) => !p.recorder)
  return (
    <div className="stack tight">
      <ul className="people">
        {people.map((p) => (
          <li key={p.member}>
            {p.seats.length > 1 && <span className="quiet small">{t('shared.members.together')}</span>}
            {p.seats.map((s) => (
              <div key={s.seat} className="row spread">
                <span>
                  <strong>{s.name}</strong> <span className="quiet">{t(`shared.role.${s.role}`)}</span>
                </span>
                <span className="row tags">
                  {p.self && <span className="tag info">{t('shared.members.you')}</span>}
                  {!p.connected && <span className="tag bad">{t('shared.members.away')}</span>}
                  {!p.verified && <span className="tag bad">{t('shared.members.unverified')}</span>}
                </span>
              </div>
            ))}
          </li>
        ))}
        <Recorders people={state.people} />
      </ul>
      {state.sas !== '' && (
        <div className="sas">
          <span className="label">{t('shared.members.code')}</span>
          <output dir="ltr">{`${state.sas.slice(0, 3)} ${state.sas.slice(3)}`}</output>
          <p className="quiet small">{t('shared.members.codeHelp')}</p>
        </div>
      )}
    </div>
  )
}

function Recorders({ people }: { people: Person[] }) {
  const { t } = useTexts()
  const recorders = people.filter((p) => p.recorder)
  const shown = recorders.length > 0 ? recorders.map((p) => ({ key: p.member, state: p.recorderState ?? 'away' })) : [{ key: 'none', state: 'away' as const }]
  return shown.map(({ key, state }) => (
    <li key={key}>
      <div className="row spread">
        <span className="row recorder-name">
          <Icon name="record" size={18} />
          <strong>{t('shared.role.recorder')}</strong>
        </span>
        <span className={`tag ${state === 'recording' ? 'good' : state === 'ready' ? 'info' : state === 'away' || state === 'failed' ? 'bad' : 'careful'}`}>{t(`shared.recorder.${state}`)}</span>
      </div>
    </li>
  ))
}

/** What an expert wants to see of the connection: folded away, never needed. */
export function Details({ room, state }: { room: RoomClient; state: RoomState }) {
  const { t } = useTexts()
  const count = (n: number) => n.toLocaleString('fi')
  return (
    <details className="details">
      <summary>{t('shared.media.title')}</summary>
      <dl className="facts-list">
        <dt>{t('shared.media.cipher')}</dt>
        <dd>
          {state.cipher === '' ? (
            t('shared.media.none')
          ) : state.cipher === wantedCipher ? (
            <code dir="ltr">{state.cipher}</code>
          ) : (
            <span className="tag bad">{t('shared.media.cipherBad', { cipher: state.cipher })}</span>
          )}
        </dd>
        <dt>{t('shared.media.frames')}</dt>
        <dd>
          {t('shared.media.sealed', { frames: count(state.frames.sealed) })} · {t('shared.media.opened', { frames: count(state.frames.opened) })} ·{' '}
          {t('shared.media.refused', { frames: count(state.frames.refused) })}
        </dd>
        <dt>{t('shared.media.epoch')}</dt>
        <dd>{state.epoch}</dd>
      </dl>
      <Support room={room} />
    </details>
  )
}

/** Said whenever the phase is not what people expect. */
export function PhaseNotice({ state }: { state: RoomState }) {
  const { t } = useTexts()
  if (state.online && state.stage === 'in' && state.lost) return <Notice kind="warning" title={t('shared.quality.lost')} live />
  if (!state.online && state.stage !== 'joining') return <Notice kind="warning" title={t('shared.wait.lost')} live />
  if (state.phase.phase !== 'paused') return null
  const lost = state.phase.cause !== 'interviewer' && state.phase.cause !== 'requested'
  // What a person wrote is shown; a machine's reason is said by its cause.
  const reason = lost ? '' : state.phase.reason
  return (
    <Notice kind={lost ? 'alert' : 'warning'} title={t('shared.phase.paused')} live>
      <p>{t(`shared.cause.${state.phase.cause}`)}</p>
      {reason !== '' && <p dir="auto">{reason}</p>}
    </Notice>
  )
}
