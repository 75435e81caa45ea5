import type { RoomState } from '../media/room'
import { useTexts } from '../i18n'
import { Button } from '../ui/controls'
import { Refusal } from '../ui/Refusal'

/** The screens at which a stay in the room ends; null while it goes on. */
export function Ends({ state, applicant = false, onAgain, onHome, endedBody }: { state: RoomState; applicant?: boolean; onAgain: () => void; onHome: () => void; endedBody?: string }) {
  const { t } = useTexts()
  if (state.stage === 'refused' && state.problem !== null) {
    return (
      <Refusal problem={state.problem} applicant={applicant}>
        <div className="row">
          <Button onPress={onAgain}>{t('shared.retry')}</Button>
          <Button look="secondary" onPress={onHome}>
            {t('shared.back')}
          </Button>
        </div>
      </Refusal>
    )
  }
  const words =
    state.stage === 'superseded'
      ? { title: t('shared.superseded.title'), body: t('shared.superseded.body') }
      : state.stage === 'left'
        ? { title: t('shared.left.title'), body: t('shared.left.body') }
        : state.stage === 'again'
          ? { title: t('shared.again.title'), body: t('shared.again.body') }
        : state.phase.phase === 'ended'
          ? { title: t('shared.ended.title'), body: endedBody ?? t('shared.ended.body') }
          : null
  if (words === null) return null
  return (
    <main id="content" className="page narrow stack" tabIndex={-1}>
      <h1>{words.title}</h1>
      <div className="card stack">
        <p>{words.body}</p>
        <div className="row">
          {(state.stage === 'left' || state.stage === 'again') && <Button onPress={onAgain}>{t('shared.left.again')}</Button>}
          <Button look="secondary" onPress={onHome}>
            {t('shared.back')}
          </Button>
        </div>
      </div>
    </main>
  )
}
