/** The twin of `calendar-window.strategy.ts`; comes after the fixed window's, whose functions it shares. */
export const calendarWindowLua = `
-- calendar-window: text "end count".
strategies['calendar-window'] = fixed_window
`;
