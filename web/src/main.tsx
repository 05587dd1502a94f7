import "@mantine/core/styles.css";
import "@mantine/notifications/styles.css";
import "@mantine/spotlight/styles.css";
import "./app/app.css";
import { createRoot } from "react-dom/client";
import { session } from "./api/session";
import { App } from "./app/App";

void session.start();

const root = document.getElementById("root");
if (root) createRoot(root).render(<App />);
