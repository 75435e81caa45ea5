import { useCallback, useEffect, useRef, useState } from 'react'
import { Problem } from '../api/problem'
import type { Document, HearingID } from '../api/words'
import { clockText, useTexts } from '../i18n'
import { fi } from '../i18n/fi'
import { viewings, type Outline, type Viewing } from '../player/api'
import { useNames, usePlayback } from '../player/playback'
import { causeKey, Pictures } from '../player/Player'
import { Moment, Position } from '../player/Position'
import '../player/player.css'
import { Button, Notice } from '../ui/controls'
import { Icon } from '../ui/Icon'
import { ProblemNotice } from '../ui/Refusal'

const lookEvery = 3000
const step = 10 // seconds by which a button moves

/** The viewing that counts here: what may be played, else what waits, else what was declined last. */
function current(list: Viewing[]): Viewing | null {
  const own = list.filter((v) => v.mine && v.participant !== undefined && v.state !== 'expired')
  return own.find((v) => v.state === 'allowed') ?? own.find((v) => v.state === 'asked') ?? own.at(0) ?? null
}

/**
 * The applicant listens to the own hearing (H6, H7): asks with one press, waits
 * for the interviewer's permission, and plays. Everything to press has a drawing
 * that says it without words.
 */
export function Listening({ hearing, onHome }: { hearing: HearingID | null; onHome: () => void }) {
  const { t } = useTexts()
  const [viewing, setViewing] = useState<Viewing | null>(null)
  const [opened, setOpened] = useState<{ viewing: Viewing; outline: Outline } | null>(null)
  const [over, setOver] = useState(false)
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<Document | null>(null)

  useEffect(() => {
    if (opened !== null || over) return undefined
    const look = () => void viewings.mine().then((list) => setViewing(current(list)), () => undefined)
    look()
    const timer = setInterval(look, lookEvery)
    return () => clearInterval(timer)
  }, [opened, over])

  const run = useCallback(async (work: () => Promise<void>) => {
    setBusy(true)
    try {
      await work()
      setProblem(null)
    } catch (thrown) {
      setProblem(Problem.of(thrown).document)
    }
    setBusy(false)
  }, [])
  // The interviewer reads why: the purpose is Finnish, whatever the page speaks.
  const ask = (purpose: string) => run(async () => setViewing(await viewings.ask(hearing ?? '', purpose)))
  const open = (v: Viewing) =>
    run(async () => {
      await viewings.open(v)
      setOpened({ viewing: v, outline: await viewings.outline(v.viewing) })
    })

  if (opened !== null) {
    return (
      <main id="content" className="page narrow stack plain" tabIndex={-1}>
        <h1>{t('shared.player.own.title')}</h1>
        <OwnPlayer
          viewing={opened.viewing}
          first={opened.outline}
          onDone={(forGood) => {
            setOpened(null)
            setOver(forGood)
          }}
        />
      </main>
    )
  }
  return (
    <main id="content" className="page narrow stack plain" tabIndex={-1}>
      <h1>{t('shared.player.own.title')}</h1>
      <ProblemNotice problem={problem} />
      {over ? (
        <Notice kind="success" title={t('shared.player.own.done')} live />
      ) : (
        <>
          <p>{t('shared.player.own.help')}</p>
          {viewing?.state === 'asked' && <Notice title={t('shared.player.own.waiting')} live />}
          {viewing?.state === 'declined' && (
            <Notice kind="warning" title={t('shared.player.own.declined')} live>
              <p dir="auto">{viewing.reason}</p>
            </Notice>
          )}
          {viewing?.state === 'allowed' && (
            <div className="card stack">
              <Notice kind="success" title={t('shared.player.own.allowed')} live />
              <Button large wide isDisabled={busy} onPress={() => void open(viewing)}>
                <Icon name="play" size={40} />{t('shared.player.own.listen')}
              </Button>
            </div>
          )}
          {hearing !== null && (viewing === null || viewing.state === 'declined') && (
            <div className="card stack">
              <h2>{t('shared.player.own.why')}</h2>
              <Button large wide isDisabled={busy} onPress={() => void ask(fi.shared.player.own.appealPurpose)}>
                <Icon name="ear" size={36} />{t('shared.player.own.appeal')}
              </Button>
              <Button large wide look="secondary" isDisabled={busy} onPress={() => void ask(fi.shared.player.own.checkPurpose)}>
                <Icon name="check" size={36} />{t('shared.player.own.check')}
              </Button>
            </div>
          )}
        </>
      )}
      <div>
        <Button look="quiet" onPress={onHome}>
          {t('shared.back')}
        </Button>
      </div>
    </main>
  )
}

/** The recording for somebody who uses a player once: everybody together, with four things to press. */
function OwnPlayer({ viewing, first, onDone }: { viewing: Viewing; first: Outline; onDone: (forGood: boolean) => void }) {
  const { t } = useTexts()
  const { engine, outline, state, end } = usePlayback(viewing.viewing, first)
  const [ending, setEnding] = useState(false)
  const group = useRef<HTMLDivElement>(null)
  const over = state.failure === 'ended'
  useEffect(() => group.current?.focus(), [over])
  const nameOf = useNames()
  const sounds = outline.lanes.flatMap((l, i) => (l.source === 'audio' ? [engine?.hole(i, state.at) ?? null] : []))
  const silent = sounds.length > 0 && sounds.every((h) => h !== null) ? (sounds[0] ?? '') : ''
  const finish = (forGood: boolean) => {
    setEnding(true)
    void end(forGood).then(() => onDone(forGood))
  }
  const done = (
    <Button large wide look="secondary" isDisabled={ending} onPress={() => finish(true)}>
      <Icon name="check" size={32} />{t('shared.player.own.finish')}
    </Button>
  )
  if (over) {
    return (
      <div ref={group} tabIndex={-1} className="player own stack">
        <div role="alert">
          <Notice kind="warning" title={t('shared.player.ended')} />
        </div>
        <Button large wide isDisabled={ending} onPress={() => finish(false)}>
          <Icon name="ear" size={36} />{t('shared.player.own.continue')}
        </Button>
        {done}
      </div>
    )
  }
  return (
    <div ref={group} role="group" tabIndex={-1} className="player own stack" aria-label={t('shared.player.title')}>
      {(outline.faults ?? []).length > 0 && <Notice kind="alert" title={t('shared.player.damaged')} />}
      {state.failure === 'unplayable' && <Notice kind="alert" title={t('shared.player.unplayable')} live />}
      {!outline.done && <p role="status">{t('shared.player.surveying', { at: clockText(outline.surveyed) })}</p>}
      {/* As the time line runs, so the buttons stand: to the left is before, in every language. */}
      <div className="controls" dir="ltr">
        <Button large look="secondary" aria-label={t('shared.player.back')} onPress={() => engine?.move(-step)}>
          <Icon name="back" size={40} />
        </Button>
        <Button large onPress={() => engine?.play(!state.playing)}>
          <Icon name={state.playing ? 'pause' : 'play'} size={48} /><span dir="auto">{state.playing ? t('shared.player.pause') : t('shared.player.play')}</span>
        </Button>
        <Button large look="secondary" aria-label={t('shared.player.forward')} onPress={() => engine?.move(step)}>
          <Icon name="forward" size={40} />
        </Button>
      </div>
      <Position outline={outline} at={state.at} onSeek={(to) => engine?.seek(to)} />
      <p>
        <Moment outline={outline} at={state.at} />
      </p>
      <p role="status">{state.waiting ? t('shared.player.waiting') : silent === '' ? '' : `${t('shared.player.own.silent')}: ${t(`shared.player.cause.${causeKey(silent)}`)}`}</p>
      <Pictures engine={engine} outline={outline} at={state.at} only="" nameOf={nameOf} />
      {done}
    </div>
  )
}
