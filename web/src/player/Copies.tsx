import { useEffect, useRef, useState } from 'react'
import { Problem } from '../api/problem'
import type { Document } from '../api/words'
import { useTexts } from '../i18n'
import { Button, Choice, Dialog, Field, Notice } from '../ui/controls'
import { ProblemNotice } from '../ui/Refusal'
import { viewings, type Copy, type Outline, type Release } from './api'
import { newPassphrase } from './passphrase'

const lookEvery = 1000 // milliseconds between looks at how far a copy is

/** Where a copy stands that is being made. */
type Stage = { at: 'idle' } | { at: 'making'; bytes: number; done: number } | { at: 'made'; name: string; bytes: number; sum: string; medium: string } | { at: 'cancelled' }

/** Copies of the recording: made in its playback process, downloaded here, never kept by the server (H7). */
export function Copies({ viewing, hearing, outline, nameOf }: { viewing: string; hearing: string; outline: Outline; nameOf: (roles: readonly string[] | null) => string }) {
  const { t, number } = useTexts()
  const [what, setWhat] = useState('sealed')
  const [to, setTo] = useState('')
  const [stage, setStage] = useState<Stage>({ at: 'idle' })
  const [problem, setProblem] = useState<Document | null>(null)
  const [passphrase, setPassphrase] = useState('')
  const running = useRef<AbortController | null>(null)
  useEffect(() => () => running.current?.abort(), [])

  const lanes = outline.lanes.map((lane, i) => ({ id: `lane-${String(i)}`, text: t('shared.player.copy.lane', { who: nameOf(lane.roles), source: t(`shared.player.copy.source.${lane.source}`) }) }))
  const sealed = what === 'sealed'
  const size = (bytes: number) => t('shared.player.copy.megabytes', { size: number(bytes / 1e6) })

  const make = async () => {
    const control = new AbortController()
    running.current = control
    const secret = sealed ? newPassphrase() : ''
    const copy: Copy = what.startsWith('lane-') ? { form: 'lane', lane: Number(what.slice(5)) } : sealed ? { form: 'sealed', to: to.trim(), passphrase: secret } : { form: what as 'folder' | 'mixed' }
    setProblem(null)
    setStage({ at: 'making', bytes: 0, done: 0 })
    let done = 0
    const looking = setInterval(() => {
      viewings.copying(viewing).then((c) => (done = c.done), () => undefined)
    }, lookEvery)
    try {
      const file = await viewings.copy(viewing, copy, control.signal, (bytes) => setStage({ at: 'making', bytes, done }))
      const made = await viewings.copying(viewing)
      const name = copy.form === 'lane' ? fileName(outline, copy.lane ?? 0) : file.name
      save(file.content, name)
      setPassphrase(secret)
      setStage({ at: 'made', name, bytes: file.content.size, sum: made.sha256, medium: made.medium })
    } catch (thrown) {
      if (control.signal.aborted) return setStage({ at: 'cancelled' })
      setProblem(Problem.of(thrown).document)
      setStage({ at: 'idle' })
    } finally {
      clearInterval(looking)
    }
  }

  return (
    <details className="copies">
      <summary>{t('shared.player.copy.title')}</summary>
      <div className="stack tight">
        <p className="quiet small">{t('shared.player.copy.help')}</p>
        <ProblemNotice problem={problem} />
        {stage.at === 'making' ? (
          <>
            <label className="making">
              {t('shared.player.copy.making', { size: size(stage.bytes) })}
              <progress max={1000} value={stage.done} />
            </label>
            <div>
              <Button look="secondary" onPress={() => running.current?.abort()}>
                {t('shared.player.copy.cancel')}
              </Button>
            </div>
          </>
        ) : (
          <>
            <Choice
              label={t('shared.player.copy.what')}
              value={what}
              onChange={setWhat}
              options={[
                { id: 'sealed', text: t('shared.player.copy.sealed') },
                { id: 'mixed', text: t('shared.player.copy.mixed') },
                { id: 'folder', text: t('shared.player.copy.folder') },
                ...lanes,
              ]}
            />
            {sealed ? <Field label={t('shared.player.copy.to')} help={t('shared.player.copy.toHelp')} value={to} onChange={setTo} required /> : <Notice kind="warning" title={t('shared.player.copy.clear')} />}
            <div>
              <Button isDisabled={sealed && to.trim() === ''} onPress={() => void make()}>
                {t('shared.player.copy.make')}
              </Button>
            </div>
          </>
        )}
        {stage.at === 'cancelled' && <Notice kind="info" title={t('shared.player.copy.cancelled')} live />}
        {stage.at === 'made' && (
          <Notice kind="success" title={t('shared.player.copy.made', { name: stage.name, size: size(stage.bytes) })} live>
            <p className="small">
              {t('shared.player.copy.sum')} <code dir="ltr">{stage.sum}</code>
            </p>
            {stage.medium !== '' && <Receipt viewing={viewing} medium={stage.medium} />}
          </Notice>
        )}
        <Releases viewing={viewing} hearing={hearing} onPassphrase={setPassphrase} />
      </div>
      <Dialog title={t('shared.player.copy.passphrase')} open={passphrase !== ''} onClose={() => setPassphrase('')}>
        <p>{t('shared.player.copy.passphraseHelp')}</p>
        <p className="passphrase" dir="ltr">
          <code>{passphrase}</code>
        </p>
        <Button onPress={() => setPassphrase('')}>{t('shared.player.copy.written')}</Button>
      </Dialog>
    </details>
  )
}

/** Who received a sealed copy, and when: written down once. */
export function Receipt({ viewing, medium, onKept }: { viewing: string; medium: string; onKept?: () => void }) {
  const { t } = useTexts()
  const [name, setName] = useState('')
  const [kept, setKept] = useState(false)
  const [problem, setProblem] = useState<Document | null>(null)
  if (kept) return <p className="small">{t('shared.player.copy.receiptKept')}</p>
  const keep = async () => {
    try {
      await viewings.handed(viewing, medium, name.trim(), new Date().toISOString().slice(0, 10))
      setKept(true)
      onKept?.()
    } catch (thrown) {
      setProblem(Problem.of(thrown).document)
    }
  }
  return (
    <div className="stack tight">
      <ProblemNotice problem={problem} />
      <Field label={t('shared.player.copy.receiver')} help={t('shared.player.copy.receiverHelp')} value={name} onChange={setName} />
      <div>
        <Button look="secondary" isDisabled={name.trim() === ''} onPress={() => void keep()}>
          {t('shared.player.copy.receipt')}
        </Button>
      </div>
    </div>
  )
}

/** Lets the administrator write a sealed copy at the server: without this word there is none, and the administrator cannot open it. */
function Releases({ viewing, hearing, onPassphrase }: { viewing: string; hearing: string; onPassphrase: (passphrase: string) => void }) {
  const { t, moment } = useTexts()
  const [form, setForm] = useState<Release['form']>('sealed')
  const [to, setTo] = useState('')
  const [recipient, setRecipient] = useState('')
  const [until, setUntil] = useState(0)
  const [problem, setProblem] = useState<Document | null>(null)
  const give = async () => {
    const secret = recipient.trim() === '' ? newPassphrase() : ''
    try {
      const given = await viewings.release(viewing, { form, to: to.trim(), ...(secret === '' ? { recipient: recipient.trim() } : { passphrase: secret }) })
      setUntil(given.until)
      setProblem(null)
      onPassphrase(secret)
    } catch (thrown) {
      setProblem(Problem.of(thrown).document)
    }
  }
  const command = form === 'open' ? `kuule evidence ${hearing} --open ${viewing} --out FOLDER` : `kuule recording export ${hearing} --viewing ${viewing} --out FOLDER`
  return (
    <details>
      <summary>{t('shared.player.copy.release')}</summary>
      <div className="stack tight">
        <p className="quiet small">{t('shared.player.copy.releaseHelp')}</p>
        <ProblemNotice problem={problem} />
        <Choice
          label={t('shared.player.copy.what')}
          value={form}
          onChange={setForm}
          options={(['sealed', 'mixed', 'open'] as const).map((f) => ({ id: f, text: t(`shared.player.copy.released.${f}`) }))}
        />
        <Field label={t('shared.player.copy.to')} value={to} onChange={setTo} required />
        <Field label={t('shared.player.copy.key')} help={t('shared.player.copy.keyHelp')} value={recipient} onChange={setRecipient} />
        <div>
          <Button look="secondary" isDisabled={to.trim() === ''} onPress={() => void give()}>
            {t('shared.player.copy.give')}
          </Button>
        </div>
        {until > 0 && (
          <Notice kind="success" title={t('shared.player.copy.given', { when: moment(until) })} live>
            <p>
              <code className="command" dir="ltr">
                {command}
              </code>
            </p>
          </Notice>
        )}
      </div>
    </details>
  )
}

function fileName(outline: Outline, lane: number): string {
  const { roles, source } = outline.lanes[lane] ?? { roles: null, source: 'audio' }
  return `${String(lane + 1).padStart(2, '0')}-${[...(roles ?? []), source].join('-')}.webm`
}

/** Hands a file to the browser's own downloads. */
function save(content: Blob, name: string) {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(content)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}
