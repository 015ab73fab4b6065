// What tests/browser.py puts into every page before the page's own scripts.

// The errors that kernels tell. (JupyterLab asks them for widgets before they have any: "No such comm".)
window.kernelErrors = [];

window.WebSocket = class extends WebSocket {
    constructor(...options) {
        super(...options);
        if (this.url.includes("/api/kernels/")) this.addEventListener("message", ({ data }) => {
            const { msg_type, content } = typeof data === "string" ? JSON.parse(data) : {};
            if (msg_type === "error") kernelErrors.push(`${content.ename}: ${content.evalue}`);
            if (content?.name === "stderr" && !content.text.startsWith("No such comm")) kernelErrors.push(content.text);
        });
    }
};

const lab = () => window.jupyterapp?.shell.currentWidget;
const classic = () => window.Jupyter?.notebook;

window.hasNotebook = () => Boolean(
    lab()?.sessionContext || (classic()?.kernel?.is_connected() && classic().kernel.widget_manager)
);

window.runAll = async () => {
    if (lab()) {
        await Promise.all([lab().context.ready, lab().sessionContext.ready]);
        await jupyterapp.commands.execute("notebook:run-all-cells");
    } else {
        // A fresh widget manager asks the kernel for its widgets, and then draws all anew: this waits until it has.
        await classic().kernel.widget_manager._loadFromKernel();
        classic().execute_all_cells();
    }
};

// The command of JupyterLab has waited; the classic notebook's hasn't.
window.hasRun = () =>
    lab() || (!classic().kernel_busy && classic().get_cells().every(cell => cell.input_prompt_number !== "*"));

window.cells = () => lab().context.model.toJSON().cells;
window.shutDown = () => lab().sessionContext.shutdown();
