import { useEffect, useRef } from 'react'
import type { Role } from '../api/words'
import type { SeatView } from '../api/wire'
import { clockText, useTexts } from '../i18n'
import { wantedCipher } from '../media/peer'
import type { Person, RoomClient, RoomState } from '../media/room'
import { Notice } from '../ui/controls'
import { Icon } from '../ui/Icon'
import { useClock } from './useRoom'

export function namesOf(seats: SeatView[]): string {
  return seats.map((s) => s.name).join(', ')
}

export function find(people: Person[], role: Role): Person | undefined {
  return people.find((p) => !p.recorder && p.seats.some((s) => s.role === role))
}

/** One person's picture; the name is always there, the picture when it comes. */
export function Tile({ person, own, label, large = false }: { person?: Person | undefined; own?: MediaStream | null; label: string; large?: boolean }) {
  const { t } = useTexts()
  const video = useRef<HTMLVideoElement>(null)
  const track = person?.self === true ? (own?.getVideoTracks()[0] ?? null) : (person?.video ?? null)
  useEffect(() => {
    if (video.current !== null) video.current.srcObject = track === null ? null : new MediaStream([track])
  }, [track])
  return (
    <figure className={`tile${large ? ' large' : ''}${person?.self === true ? ' own' : ''}${person?.speaking === true ? ' speaking' : ''}`}>
      {track === null ? (
        <div className="no-video">
          <Icon name="person" size={large ? 88 : 40} />
          <span>{t('shared.media.noVideo')}</span>
        </div>
      ) : (
        // The sound of the others is played apart; a picture without words needs no captions.
        <video ref={video} autoPlay playsInline muted aria-label={t('shared.media.face', { name: label })} />
      )}
      <figcaption>
        {label}
        {person?.connected === false && <span className="tag bad">{t('shared.members.away')}</span>}
      </figcaption>
    </figure>
  )
}

/** The sound of everybody else. */
export function Sounds({ people }: { people: Person[] }) {
  return people.filter((p) => !p.self && p.audio !== null).map((p) => <Sound key={p.member} track={p.audio} from={namesOf(p.seats)} />)
}

function Sound({ track, from }: { track: MediaStreamTrack | null; from: string }) {
  const audio = useRef<HTMLAudioElement>(null)
  useEffect(() => {
    if (audio.current !== null) audio.current.srcObject = track === null ? null : new MediaStream([track])
  }, [track])
  // eslint-disable-next-line jsx-a11y/media-has-caption -- live speech; the interpreter and the transcript stand for captions
  return <audio ref={audio} autoPlay data-from={from} />
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
export function Details({ state }: { state: RoomState }) {
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
    </details>
  )
}

/** Said whenever the phase is not what people expect. */
export function PhaseNotice({ state }: { state: RoomState }) {
  const { t } = useTexts()
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
