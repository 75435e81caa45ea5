import { useId, type ReactNode } from 'react'
import {
  Button as AriaButton,
  CheckboxButton,
  CheckboxField,
  Dialog as AriaDialog,
  FieldError,
  Heading,
  Input,
  Label,
  ListBox,
  ListBoxItem,
  Modal,
  ModalOverlay,
  Popover,
  RadioButton,
  RadioField,
  RadioGroup,
  Select,
  SelectValue,
  Text,
  TextArea,
  TextField,
  type ButtonProps,
} from 'react-aria-components'
import { Icon } from './Icon'

type Look = 'primary' | 'secondary' | 'quiet' | 'danger' | 'danger secondary'

/** A button; `large` for people who use the page once in their life. */
export function Button({ look = 'primary', large = false, wide = false, ...props }: ButtonProps & { look?: Look; large?: boolean; wide?: boolean }) {
  return <AriaButton {...props} className={`button ${look}${large ? ' large' : ''}${wide ? ' wide' : ''}`} />
}

interface FieldProps {
  label: string
  value: string
  onChange: (value: string) => void
  help?: string
  wrong?: string
  lines?: boolean
  required?: boolean
  placeholder?: string
  type?: string
  /** Takes the focus when its dialog opens. */
  first?: boolean
}

/** A text field with its label above, help below it, and what is wrong in words. */
export function Field({ label, value, onChange, help, wrong, lines = false, required = false, placeholder, type = 'text', first = false }: FieldProps) {
  return (
    <TextField className="field" value={value} onChange={onChange} isRequired={required} isInvalid={wrong !== undefined} type={type} autoFocus={first} validationBehavior="aria">
      <Label className="label">{label}</Label>
      {help !== undefined && (
        <Text slot="description" className="help">
          {help}
        </Text>
      )}
      {lines ? <TextArea className="input" placeholder={placeholder ?? ''} rows={4} /> : <Input className="input" placeholder={placeholder ?? ''} />}
      <FieldError className="wrong">{wrong}</FieldError>
    </TextField>
  )
}

/** A choice among a few, closed until it is used. */
export function Choice<T extends string>({ label, value, onChange, options, hideLabel = false }: { label: string; value: T; onChange: (value: T) => void; options: readonly { id: T; text: string; lang?: string }[]; hideLabel?: boolean }) {
  return (
    <Select className="field" value={value} onChange={(key) => onChange(key as T)}>
      <Label className={hideLabel ? 'hidden' : 'label'}>{label}</Label>
      <AriaButton className="select-button">
        <SelectValue />
        <Icon name="down" />
      </AriaButton>
      <Popover className="popover">
        <ListBox>
          {options.map((o) => (
            <ListBoxItem key={o.id} id={o.id} textValue={o.text} className="option">
              <span lang={o.lang}>{o.text}</span>
            </ListBoxItem>
          ))}
        </ListBox>
      </Popover>
    </Select>
  )
}

/** One of a few; null while nothing is chosen. */
export function Radios<T extends string>({ label, value, onChange, options }: { label: string; value: T | null; onChange: (value: T) => void; options: readonly { id: T; text: string }[] }) {
  return (
    <RadioGroup className="field" value={value} onChange={(v) => onChange(v as T)}>
      <Label className="label">{label}</Label>
      <div className="radios">
        {options.map((o) => (
          <RadioField key={o.id} value={o.id}>
            <RadioButton className="radio">
              <span className="dot" />
              <span>{o.text}</span>
            </RadioButton>
          </RadioField>
        ))}
      </div>
    </RadioGroup>
  )
}

export function Check({ children, selected, onChange }: { children: ReactNode; selected: boolean; onChange: (selected: boolean) => void }) {
  return (
    <CheckboxField isSelected={selected} onChange={onChange}>
      <CheckboxButton className="checkbox">
        <span className="box">
          <Icon name="check" />
        </span>
        <span>{children}</span>
      </CheckboxButton>
    </CheckboxField>
  )
}

/** A dialog that must be answered or closed; it closes by Escape. */
export function Dialog({ title, open, onClose, children }: { title: string; open: boolean; onClose: () => void; children: ReactNode }) {
  return (
    <ModalOverlay className="overlay" isOpen={open} onOpenChange={(is) => (is ? undefined : onClose())} isDismissable={false}>
      <Modal className="dialog-box">
        <AriaDialog className="dialog">
          <Heading slot="title" level={2}>
            {title}
          </Heading>
          {children}
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  )
}

export function Notice({ kind = 'info', title, children, live = false }: { kind?: 'info' | 'success' | 'warning' | 'alert'; title?: string; children?: ReactNode; live?: boolean }) {
  return (
    <div className={`notice ${kind}`} role={live ? 'status' : undefined}>
      <Icon name={kind === 'success' ? 'check' : kind === 'info' ? 'info' : 'warning'} />
      <div>
        {title !== undefined && <strong>{title}</strong>}
        {children}
      </div>
    </div>
  )
}

/** A titled part of a page. */
export function Section({ title, children, className = 'card stack' }: { title: string; children: ReactNode; className?: string }) {
  const id = useId()
  return (
    <section aria-labelledby={id} className={className}>
      <h2 id={id}>{title}</h2>
      {children}
    </section>
  )
}
