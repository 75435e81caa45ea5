import js from '@eslint/js'
import a11y from 'eslint-plugin-jsx-a11y'
import hooks from 'eslint-plugin-react-hooks'
import ts from 'typescript-eslint'

export default ts.config(
  { ignores: ['dist', 'test/dist', 'node_modules', 'test/shots', 'src/api/wire.ts'] },
  js.configs.recommended,
  {
    files: ['src/**/*.{ts,tsx}', 'test/**/*.ts'],
    extends: [ts.configs.strictTypeChecked, a11y.flatConfigs.strict, hooks.configs.flat.recommended],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': 'off',
      // Event handlers of React and timers may be asynchronous; each handles its own failures.
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
      // A dialog's first field takes the focus; react-aria keeps it inside.
      'jsx-a11y/no-autofocus': ['error', { ignoreNonDOM: true }],
      // One exact way to reach markup; the content security policy forbids it too.
      'no-restricted-properties': ['error', { property: 'innerHTML' }, { property: 'outerHTML' }, { property: 'insertAdjacentHTML' }],
    },
  },
  {
    files: ['**/*.mjs', '*.js'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly', URL: 'readonly', Buffer: 'readonly', setTimeout: 'readonly', setInterval: 'readonly', clearInterval: 'readonly', document: 'readonly', sessionStorage: 'readonly', localStorage: 'readonly', window: 'readonly', getComputedStyle: 'readonly', navigator: 'readonly', crypto: 'readonly', performance: 'readonly' } },
  },
  {
    // Runs inside a page.
    files: ['test/inpage.mjs'],
    languageOptions: { globals: { location: 'readonly', AudioContext: 'readonly', OscillatorNode: 'readonly', GainNode: 'readonly', MediaStreamAudioDestinationNode: 'readonly', MutationObserver: 'readonly', AnalyserNode: 'readonly', AudioNode: 'readonly', AudioDestinationNode: 'readonly', MediaStream: 'readonly', Event: 'readonly' } },
  },
)
