import { type CSSVariablesResolver, createTheme, type MantineColorsTuple } from "@mantine/core";

const flame: MantineColorsTuple = [
  "#e7f2fc",
  "#cfe1f3",
  "#9cc1e7",
  "#659fdb",
  "#3a83d2",
  "#2072cd",
  "#1368cb",
  "#0759b4",
  "#004fa2",
  "#00448f",
];

/** Colours are chosen so that text has a contrast of 4.5:1 at least, in both schemes. */
export const theme = createTheme({
  primaryColor: "flame",
  primaryShade: { light: 7, dark: 7 },
  colors: { flame },
  defaultRadius: "md",
  autoContrast: true,
  luminanceThreshold: 0.35,
  cursorType: "pointer",
  respectReducedMotion: true,
  components: {
    Anchor: { defaultProps: { underline: "hover" } },
    PasswordInput: { defaultProps: { visibilityToggleButtonProps: { "aria-label": "Show the password" } } },
    Tooltip: { defaultProps: { events: { hover: true, focus: true, touch: true } } },
    Notification: { defaultProps: { closeButtonProps: { "aria-label": "Dismiss" } } },
    Modal: {
      defaultProps: { closeButtonProps: { "aria-label": "Close" } },
      styles: { title: { fontWeight: 600 } },
    },
  },
});

export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    "--mantine-color-dimmed": "#5c636a",
    "--mantine-color-placeholder": "#5c636a",
    "--mantine-color-error": "#c92a2a",
  },
  dark: {
    "--mantine-color-dimmed": "#a6a7ab",
    "--mantine-color-placeholder": "#a6a7ab",
    "--mantine-color-anchor": "#74b3f5",
    "--mantine-color-error": "#ff8787",
  },
});
