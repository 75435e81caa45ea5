import { useState } from 'react'
import { useTexts } from '../i18n'
import { keepSound, microphones, type SoundSettings } from '../media/capture'
import { listenOnly, testRoom, type Finding } from '../media/echo'
import { Button, Check, Choice, Dialog, Notice } from '../ui/controls'
import { Icon } from '../ui/Icon'

type Work = 'none' | 'test' | 'listen'

/** Plays tones in the room and says in plain words what the microphone makes of them. */
export function SoundTest({ media, settings }: { media: MediaStream; settings: SoundSettings }) {
  const { t } = useTexts()
  const [work, setWork] = useState<Work>('none')
  const [found, setFound] = useState<{ what: Work; list: Finding[] } | null>(null)
  const run = (what: Work, test: () => Promise<Finding[]>) => {
    setWork(what)
    setFound(null)
    test()
      .then((list) => setFound({ what, list }), () => setFound(null))
      .finally(() => setWork('none'))
  }
  return (
    <div className="stack tight sound-test">
      <h3>{t('shared.soundTest.title')}</h3>
      <p>{t('shared.soundTest.body')}</p>
      <div className="row">
        <Button look="secondary" isDisabled={work !== 'none'} onPress={() => run('test', () => testRoom(media, settings.microphone))}>
          <Icon name="sound" />
          {t('shared.soundTest.start')}
        </Button>
        <Button look="quiet" isDisabled={work !== 'none'} onPress={() => run('listen', () => listenOnly(settings.microphone))}>
          {t('shared.soundTest.listen')}
        </Button>
      </div>
      <div role="status" className="stack tight">
        {work !== 'none' && <p>{t(`shared.soundTest.running.${work}`)}</p>}
        {found?.list.map((f) => (
          <Notice key={f} kind={f === 'fine' ? 'success' : f === 'leak' || f === 'voices' ? 'alert' : 'warning'} title={t(`shared.soundTest.found.${f === 'fine' && found.what === 'listen' ? 'quiet' : f}`)}>
            {f !== 'fine' && <p>{t(`shared.soundTest.advice.${f}`)}</p>}
          </Notice>
        ))}
      </div>
    </div>
  )
}

/** How this machine's microphones are used; kept on the machine. */
export function SoundChoices({ settings, interpreted, onChange }: { settings: SoundSettings; interpreted: boolean; onChange: (settings: SoundSettings) => void }) {
  const { t } = useTexts()
  const [open, setOpen] = useState(false)
  const [draft, setDraft] = useState(settings)
  const [known, setKnown] = useState<{ id: string; name: string }[]>([])
  const show = () => {
    setDraft(settings)
    setOpen(true)
    void microphones().then(setKnown)
  }
  const options = (none: string) => [{ id: 'none', text: none }, ...known.map((d, i) => ({ id: d.id, text: d.name === '' ? t('shared.soundSettings.nameless', { number: i + 1 }) : d.name }))]
  const id = (value: string) => (known.some((d) => d.id === value) ? value : 'none')
  const chosen = (value: string) => (value === 'none' ? '' : value)
  const gains = ['0.5', '0.75', '1', '1.5', '2', '3'] as const
  return (
    <>
      <Button look="quiet" onPress={show}>
        <Icon name="mic" />
        {t('shared.soundSettings.open')}
      </Button>
      <Dialog title={t('shared.soundSettings.title')} open={open} onClose={() => setOpen(false)}>
        <Choice label={t('shared.soundSettings.microphone')} value={id(draft.microphone)} onChange={(v) => setDraft({ ...draft, microphone: chosen(v) })} options={options(t('shared.soundSettings.usual'))} />
        {interpreted && (
          <Choice label={t('shared.soundSettings.interpreter')} value={id(draft.interpreter)} onChange={(v) => setDraft({ ...draft, interpreter: chosen(v) })} options={options(t('shared.soundSettings.together'))} />
        )}
        <Check selected={draft.echoCancellation} onChange={(echoCancellation) => setDraft({ ...draft, echoCancellation })}>
          {t('shared.soundSettings.echo')}
        </Check>
        <Check selected={draft.noiseSuppression} onChange={(noiseSuppression) => setDraft({ ...draft, noiseSuppression })}>
          {t('shared.soundSettings.noise')}
        </Check>
        <Check selected={draft.autoGainControl} onChange={(autoGainControl) => setDraft({ ...draft, autoGainControl })}>
          {t('shared.soundSettings.levelling')}
        </Check>
        <Choice label={t('shared.soundSettings.gain')} value={gains.find((g) => Number(g) === draft.gain) ?? '1'} onChange={(g) => setDraft({ ...draft, gain: Number(g) })} options={gains.map((g) => ({ id: g, text: `${Number(g) * 100} %` }))} />
        <p className="quiet small">{t('shared.soundSettings.help')}</p>
        <div className="row">
          <Button
            onPress={() => {
              keepSound(draft)
              onChange(draft)
              setOpen(false)
            }}
          >
            {t('shared.soundSettings.use')}
          </Button>
          <Button look="quiet" onPress={() => setOpen(false)}>
            {t('shared.cancel')}
          </Button>
        </div>
      </Dialog>
    </>
  )
}
